#include "cli/systemd.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "api/field_text.h"
#include "core/error.h"

namespace reprise::cli {
namespace {

constexpr int kFirst = 3;  // SD_LISTEN_FDS_START
constexpr int64_t kMost = 64;

int64_t number_of(const char* name, const char* text) {
  try {
    return api::parse_integer(text, 0, INT32_MAX);
  } catch (const Error& error) {
    throw Error("the variable {} {}; it is set by systemd's socket activation", name, error.what());
  }
}

int option_of(int socket, int option) {
  int value = 0;
  socklen_t size = sizeof value;
  return getsockopt(socket, SOL_SOCKET, option, &value, &size) == 0 ? value : -1;
}

void check_listening(int socket) {
  sockaddr_storage at = {};
  socklen_t size = sizeof at;
  if (option_of(socket, SO_TYPE) != SOCK_STREAM || option_of(socket, SO_ACCEPTCONN) != 1 ||
      getsockname(socket, reinterpret_cast<sockaddr*>(&at), &size) != 0 ||
      (at.ss_family != AF_INET && at.ss_family != AF_INET6 && at.ss_family != AF_UNIX))
    throw Error(
        "descriptor {} of LISTEN_FDS is no TCP or unix stream socket that listens; give ListenStream= and Accept=no in the "
        "socket unit",
        socket);
}

}  // namespace

InheritedSockets take_inherited_sockets() {
  InheritedSockets sockets;
  const char* const pid = std::getenv("LISTEN_PID");
  const char* const count = std::getenv("LISTEN_FDS");
  if (pid == nullptr || count == nullptr) return sockets;
  if (number_of("LISTEN_PID", pid) != getpid()) return sockets;  // they were meant for whoever started us
  const int64_t number = number_of("LISTEN_FDS", count);
  if (number > kMost) throw Error("LISTEN_FDS is {}, expected at most {}", number, kMost);
  const char* const given_names = std::getenv("LISTEN_FDNAMES");
  std::string names = given_names != nullptr ? given_names : "";
  for (int64_t i = 0; i < number; ++i) {
    const int socket = kFirst + static_cast<int>(i);
    check_listening(socket);
    fcntl(socket, F_SETFD, FD_CLOEXEC);
    const size_t colon = std::min(names.find(':'), names.size());
    (names.substr(0, colon) == "metrics" ? sockets.metrics : sockets.http).push_back(socket);
    names.erase(0, std::min(colon + 1, names.size()));
  }
  for (const char* name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) unsetenv(name);
  if (sockets.http.empty() && !sockets.metrics.empty())
    throw Error("all sockets of LISTEN_FDS are named metrics; one must be for requests");
  return sockets;
}

bool notify_service_manager(std::string_view state) {
  const char* const path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr || *path == '\0') return true;
  sockaddr_un to = {};
  to.sun_family = AF_UNIX;
  const size_t length = std::strlen(path);
  if ((*path != '/' && *path != '@') || length >= sizeof to.sun_path) return false;
  std::memcpy(to.sun_path, path, length);
  if (*path == '@') to.sun_path[0] = '\0';  // of the abstract namespace
  const int socket = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket < 0) return false;
  const ssize_t sent = sendto(socket, state.data(), state.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
                              reinterpret_cast<const sockaddr*>(&to),
                              static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length));
  close(socket);
  return sent == static_cast<ssize_t>(state.size());
}

}  // namespace reprise::cli
