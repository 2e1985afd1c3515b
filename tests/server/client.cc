#include "tests/server/client.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace reprise::server {
namespace {

constexpr std::chrono::seconds kPatience{30};

int open_socket(int family) {
  const int socket = ::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (socket < 0) throw std::runtime_error("no socket");
  return socket;
}

template <typename Address>
void connect_to(int socket, const Address& address) {
  if (connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    throw std::runtime_error(fmt::format("can't connect: {}", std::strerror(errno)));
}

}  // namespace

Client::Client(uint16_t port, int receive_bytes) : socket_(open_socket(AF_INET)) {
  if (receive_bytes > 0) setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  connect_to(socket_, address);
}

Client::Client(const std::string& unix_path) : socket_(open_socket(AF_UNIX)) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, unix_path.c_str(), sizeof address.sun_path - 1);
  connect_to(socket_, address);
}

Client::~Client() {
  close();
}

Client::Client(Client&& other) noexcept
    : socket_(std::exchange(other.socket_, -1)), in_(std::move(other.in_)) {}

bool Client::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

bool Client::read_some(std::chrono::milliseconds time) {
  pollfd ready{.fd = socket_, .events = POLLIN, .revents = 0};
  if (poll(&ready, 1, static_cast<int>(time.count())) <= 0)
    throw std::runtime_error("the server says nothing");
  char bytes[65536];
  const ssize_t got = recv(socket_, bytes, sizeof bytes, 0);
  if (got <= 0) return false;
  in_.append(bytes, static_cast<size_t>(got));
  return true;
}

std::string Client::take(size_t bytes) {
  while (in_.size() < bytes)
    if (!read_some(kPatience)) throw std::runtime_error("the connection ended within a reply: " + in_);
  std::string taken = in_.substr(0, bytes);
  in_.erase(0, bytes);
  return taken;
}

std::string Client::read_until(std::string_view mark) {
  size_t at = 0;
  while ((at = in_.find(mark)) == std::string::npos)
    if (!read_some(kPatience)) throw std::runtime_error("the connection ended: " + in_);
  return take(at + mark.size());
}

std::string Client::read_all() {
  while (read_some(kPatience)) {
  }
  return std::exchange(in_, {});
}

bool Client::ends_within(std::chrono::milliseconds time) {
  const auto end = std::chrono::steady_clock::now() + time;
  try {
    for (;;) {
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
      if (!read_some(std::max(left, std::chrono::milliseconds(0)))) return true;
      in_.clear();
    }
  } catch (const std::runtime_error&) {
    return false;
  }
}

Reply Client::reply(bool to_head) {
  Reply reply;
  std::string head = read_until("\r\n\r\n");
  reply.status = std::stoi(head.substr(9, 3));
  for (size_t at = head.find("\r\n") + 2; at + 2 < head.size();) {
    const size_t end = head.find("\r\n", at), colon = head.find(": ", at);
    std::string name = head.substr(at, colon - at);
    std::ranges::transform(name, name.begin(), [](char c) { return static_cast<char>(std::tolower(c)); });
    if (!reply.fields.emplace(name, head.substr(colon + 2, end - colon - 2)).second)
      throw std::runtime_error("a field twice: " + head);
    at = end + 2;
  }
  if (to_head || reply.status == 204) return reply;
  if (reply.field("transfer-encoding") == "chunked") {
    for (;;) {
      const size_t size = std::stoul(read_until("\r\n"), nullptr, 16);
      reply.body += take(size);
      if (take(2) != "\r\n") throw std::runtime_error("a malformed chunk");
      if (size == 0) return reply;
    }
  }
  reply.body =
      reply.fields.contains("content-length") ? take(std::stoul(reply.field("content-length"))) : read_all();
  return reply;
}

void Client::half_close() {
  shutdown(socket_, SHUT_WR);
}

void Client::reset() {
  const linger now{.l_onoff = 1, .l_linger = 0};
  setsockopt(socket_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  close();
}

void Client::close() {
  if (socket_ >= 0) ::close(socket_);
  socket_ = -1;
}

std::string post(std::string_view path, std::string_view body, std::string_view more_fields) {
  return fmt::format(
      "POST {} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{}\r\n{}", path,
      body.size(), more_fields, body);
}

std::string get(std::string_view path, std::string_view more_fields, std::string_view method) {
  return fmt::format("{} {} HTTP/1.1\r\nHost: x\r\n{}\r\n", method, path, more_fields);
}

}  // namespace reprise::server
