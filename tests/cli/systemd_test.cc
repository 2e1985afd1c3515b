// Socket activation and notification, with real sockets.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <functional>

#include "cli/systemd.h"
#include "core/error.h"

namespace reprise::cli {
namespace {

// Runs in a process of its own, whose descriptors from 3 on are free to be used; returns what it says.
std::string in_child(const std::function<std::string()>& run) {
  int pipe_ends[2];
  if (pipe(pipe_ends) != 0) return "no pipe";
  const pid_t child = fork();
  if (child == 0) {
    const int out = fcntl(pipe_ends[1], F_DUPFD, 50);
    close(pipe_ends[0]);
    std::string text;
    try {
      text = run();
    } catch (const Error& error) {
      text = error.what();
    }
    static_cast<void>(!write(out, text.data(), text.size()));
    _exit(0);
  }
  close(pipe_ends[1]);
  std::string text;
  char bytes[1024];
  for (ssize_t got = 0; (got = read(pipe_ends[0], bytes, sizeof bytes)) > 0;)
    text.append(bytes, static_cast<size_t>(got));
  close(pipe_ends[0]);
  waitpid(child, nullptr, 0);
  return text;
}

void listen_at(int descriptor, int type = SOCK_STREAM, bool listening = true) {
  const int made = socket(AF_INET, type, 0);
  sockaddr_in any{};
  any.sin_family = AF_INET;
  bind(made, reinterpret_cast<const sockaddr*>(&any), sizeof any);
  if (listening) listen(made, 5);
  if (made != descriptor) {
    dup2(made, descriptor);
    close(made);
  }
}

void set_variables(const std::string& count, const char* names = nullptr, bool ours = true) {
  setenv("LISTEN_PID", std::to_string(ours ? getpid() : 1).c_str(), 1);
  setenv("LISTEN_FDS", count.c_str(), 1);
  if (names != nullptr) setenv("LISTEN_FDNAMES", names, 1);
}

std::string found() {
  const InheritedSockets sockets = take_inherited_sockets();
  std::string text;
  for (const int socket : sockets.http) text += "http " + std::to_string(socket) + ";";
  for (const int socket : sockets.metrics) text += "metrics " + std::to_string(socket) + ";";
  return text + (std::getenv("LISTEN_FDS") == nullptr ? "" : "kept");
}

TEST(InheritedSockets, AreTakenByNumberAndName) {
  EXPECT_EQ(in_child([] { return found(); }), "");
  EXPECT_EQ(in_child([] {
              listen_at(3);
              set_variables("1");
              const std::string text = found();
              return text + ((fcntl(3, F_GETFD) & FD_CLOEXEC) != 0 ? " closed" : " open");
            }),
            "http 3; closed");
  EXPECT_EQ(in_child([] {
              for (const int i : {3, 4, 5}) listen_at(i);
              set_variables("3", "x:metrics:y");
              return found();
            }),
            "http 3;http 5;metrics 4;");
  EXPECT_EQ(in_child([] {
              set_variables("1", nullptr, /*ours=*/false);
              return found();
            }),
            "kept");
}

TEST(InheritedSockets, AreChecked) {
  const auto wrong = [](const std::function<void()>& prepare, const std::string& count) {
    return in_child([&] {
      prepare();
      set_variables(count);
      return found();
    });
  };
  using testing::HasSubstr;
  EXPECT_THAT(wrong([] { listen_at(3, SOCK_DGRAM, false); }, "1"), HasSubstr("descriptor 3 of LISTEN_FDS"));
  EXPECT_THAT(wrong([] { listen_at(3, SOCK_STREAM, false); }, "1"), HasSubstr("descriptor 3 of LISTEN_FDS"));
  EXPECT_THAT(wrong([] { dup2(open("/dev/null", O_RDWR), 3); }, "1"),
              HasSubstr("descriptor 3 of LISTEN_FDS"));
  EXPECT_THAT(wrong([] { close(3); }, "1"), HasSubstr("descriptor 3 of LISTEN_FDS"));
  for (const char* count : {"x", "-1", "", "1000000", "99999999999999999999"})
    EXPECT_THAT(wrong([] {}, count), HasSubstr("LISTEN_FDS")) << count;
  EXPECT_THAT(in_child([] {
                listen_at(3);
                set_variables("1", "metrics");
                return found();
              }),
              HasSubstr("one must be for requests"));
}

// A manager's socket at `name`, "@" for the abstract namespace.
class Manager {
 public:
  explicit Manager(std::string name) : name_(std::move(name)), socket_(socket(AF_UNIX, SOCK_DGRAM, 0)) {
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    std::memcpy(at.sun_path, name_.data(), name_.size());
    if (name_[0] == '@') at.sun_path[0] = '\0';
    bind(socket_, reinterpret_cast<const sockaddr*>(&at),
         static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name_.size()));
    setenv("NOTIFY_SOCKET", name_.c_str(), 1);
  }
  ~Manager() {
    unsetenv("NOTIFY_SOCKET");
    close(socket_);
    if (name_[0] != '@') unlink(name_.c_str());
  }
  std::string heard() const {
    char bytes[256];
    const ssize_t got = recv(socket_, bytes, sizeof bytes, MSG_DONTWAIT);
    return got < 0 ? "nothing" : std::string(bytes, static_cast<size_t>(got));
  }

 private:
  const std::string name_;
  const int socket_;
};

TEST(ServiceManager, IsTold) {
  EXPECT_TRUE(notify_service_manager("READY=1"));  // nobody asked
  for (const std::string& name :
       {testing::TempDir() + "reprise_notify", "@reprise_notify_" + std::to_string(getpid())}) {
    const Manager manager(name);
    EXPECT_TRUE(notify_service_manager("READY=1"));
    EXPECT_EQ(manager.heard(), "READY=1") << name;
  }
  for (const std::string& name :
       {std::string("relative"), "/" + std::string(200, 'x'), std::string("/nonexistent/x")}) {
    setenv("NOTIFY_SOCKET", name.c_str(), 1);
    EXPECT_FALSE(notify_service_manager("READY=1")) << name;
  }
  unsetenv("NOTIFY_SOCKET");
}

}  // namespace
}  // namespace reprise::cli
