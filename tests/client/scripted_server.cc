#include "tests/client/scripted_server.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

namespace reprise::client {

void ScriptedServer::Peer::send(const std::string& bytes) const {
  for (size_t at = 0; at < bytes.size();) {
    const ssize_t sent = ::send(socket_, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
    if (sent <= 0) return;
    at += static_cast<size_t>(sent);
  }
}

void ScriptedServer::Peer::reset() const {
  const linger now{.l_onoff = 1, .l_linger = 0};
  setsockopt(socket_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

void ScriptedServer::Peer::pause(int milliseconds) {
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
}

ScriptedServer::ScriptedServer(Script script) : script_(std::move(script)) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  bind(listener_, reinterpret_cast<const sockaddr*>(&address), size);
  listen(listener_, 64);
  getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
  port_ = ntohs(address.sin_port);
  accepting_ = std::thread([this] {
    for (int socket = 0; (socket = accept(listener_, nullptr, nullptr)) >= 0;) {
      const std::lock_guard lock(mutex_);
      const int number = static_cast<int>(sockets_.size());
      sockets_.push_back(socket);
      threads_.emplace_back([this, socket, number] { serve(socket, number); });
    }
  });
}

ScriptedServer::~ScriptedServer() {
  shutdown(listener_, SHUT_RDWR);
  accepting_.join();
  close(listener_);
  for (const int socket : sockets_) shutdown(socket, SHUT_RDWR);
  for (std::thread& thread : threads_) thread.join();
  for (const int socket : sockets_) close(socket);
}

int ScriptedServer::connections() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int>(sockets_.size());
}

// Requests have a Content-Length or no body.
void ScriptedServer::serve(int socket, int number) {
  Peer peer(socket);
  std::string in;
  char bytes[65536];
  for (int request = 0;; ++request) {
    size_t whole = std::string::npos;
    while (in.size() < whole) {
      if (const size_t end = in.find("\r\n\r\n"); whole == std::string::npos && end != std::string::npos) {
        const size_t length = in.find("Content-Length: ");
        whole = end + 4 + (length < end ? std::stoul(in.substr(length + 16)) : 0);
        continue;
      }
      const ssize_t got = recv(socket, bytes, sizeof bytes, 0);
      if (got <= 0) return;
      in.append(bytes, static_cast<size_t>(got));
    }
    const std::string text = in.substr(0, whole);
    in.erase(0, whole);
    if (!script_(peer, number, request, text)) break;
  }
  // The descriptor itself is closed at the end: its number may not be used again before.
  linger chosen{};
  socklen_t size = sizeof chosen;
  getsockopt(socket, SOL_SOCKET, SO_LINGER, &chosen, &size);
  if (chosen.l_onoff != 0) {
    const std::lock_guard lock(mutex_);
    const int copy = dup(listener_);
    dup2(copy, socket);  // closes it, with a reset
    close(copy);
    return;
  }
  shutdown(socket, SHUT_RDWR);
}

std::string reply_with(const std::string& body, int status, const std::string& type) {
  return fmt::format("HTTP/1.1 {} X\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n{}", status, type,
                     body.size(), body);
}

std::string stream_of(const std::vector<std::string>& data) {
  std::string text =
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const std::string& each : data) {
    const std::string event = "data: " + each + "\n\n";
    text += fmt::format("{:x}\r\n{}\r\n", event.size(), event);
  }
  return text + "0\r\n\r\n";
}

}  // namespace reprise::client
