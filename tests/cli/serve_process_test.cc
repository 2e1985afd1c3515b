// `reprise serve` as a process: how it ends, and how it comes back after it was killed.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "source_dir.h"
#include "tests/server/client.h"

namespace reprise::server {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

const std::string kTiny = REPRISE_SOURCE_DIR "/models/tiny";

// The program with what it says on standard error. Killed where it is still there at the end.
class Serve {
 public:
  explicit Serve(const std::vector<std::string>& flags, const std::string& program = REPRISE_PROGRAM,
                 const std::string& model = kTiny) {
    std::vector<std::string> words = {program,  "serve",     "--model", model,
                                      "--host", "127.0.0.1", "--log",   "off"};
    words.insert(words.end(), flags.begin(), flags.end());
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    int ends[2];
    if (pipe(ends) != 0) throw std::runtime_error("no pipe");
    process_ = fork();
    if (process_ == 0) {
      dup2(ends[1], STDERR_FILENO);
      close(ends[0]);
      close(ends[1]);
      execv(arguments[0], arguments.data());
      _exit(127);
    }
    close(ends[1]);
    errors_ = ends[0];
    address_ = wait_for("ready: ");
  }
  ~Serve() {
    if (process_ > 0) {
      send(SIGKILL);
      wait();
    }
    close(errors_);
  }
  Serve(const Serve&) = delete;
  Serve& operator=(const Serve&) = delete;

  uint16_t port() const { return static_cast<uint16_t>(std::stoi(address_.substr(address_.rfind(':') + 1))); }
  void send(int signal) const { kill(process_, signal); }
  // The exit code, or minus the signal.
  int wait() {
    int status = 0;
    waitpid(std::exchange(process_, -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  // The rest of the first line from now on that begins so.
  std::string wait_for(const std::string& begin) {
    for (;;) {
      for (size_t end; (end = said_.find('\n')) != std::string::npos;) {
        const std::string line = said_.substr(0, end);
        said_.erase(0, end + 1);
        if (line.starts_with(begin)) return line.substr(begin.size());
      }
      pollfd ready{.fd = errors_, .events = POLLIN, .revents = 0};
      char bytes[4096];
      ssize_t got = 0;
      if (poll(&ready, 1, 120'000) <= 0 || (got = read(errors_, bytes, sizeof bytes)) <= 0)
        throw std::runtime_error("it never said '" + begin + "': " + said_);
      said_.append(bytes, static_cast<size_t>(got));
    }
  }

 private:
  pid_t process_ = -1;
  int errors_ = -1;
  std::string address_, said_;
};

std::string long_request(int number, bool stream) {
  return post(
      "/v1/completions",
      fmt::format(R"({{"prompt": "Once", "seed": {}, "max_tokens": 300, "ignore_eos": true, "stream": {}}})",
                  number, stream));
}
const std::string kShort = post("/v1/completions", R"({"prompt": "Once", "max_tokens": 3, "seed": 1})");

Reply ask(Client client, const std::string& request) {
  client.send(request);
  return client.reply();
}

// Of the last chunk or the whole reply.
void expect_complete(const Reply& reply, bool stream) {
  EXPECT_EQ(reply.status, 200);
  EXPECT_THAT(reply.body, HasSubstr("\"finish_reason\":\"length\""));
  if (stream) {
    EXPECT_TRUE(reply.body.ends_with("data: [DONE]\n\n"));
  }
}

TEST(ServeProcess, SigtermUnderLoadLosesNoAcceptedRequest) {
  Serve serve({"--port", "0"});
  constexpr int kClients = 64;
  std::vector<Client> clients;
  for (int i = 0; i < kClients; ++i) {
    clients.emplace_back(serve.port());
    clients.back().send(long_request(i, i % 8 != 0));
  }
  // A stream's status goes out when its request is accepted.
  std::vector<std::string> heads;
  for (int i = 0; i < kClients; ++i)
    if (i % 8 != 0) {
      const std::string head = clients[static_cast<size_t>(i)].read_until("\r\n\r\n");
      ASSERT_TRUE(head.starts_with("HTTP/1.1 200 ")) << head;
    }
  serve.send(SIGTERM);
  EXPECT_EQ(serve.wait_for("shutting down: "), "64 requests are open") << "they were faster than the test";
  const Reply health = ask(Client(serve.port()), get("/health"));
  EXPECT_EQ(health.status, 503) << health.body;
  const Reply refused = ask(Client(serve.port()), kShort);
  EXPECT_EQ(refused.status, 503);
  EXPECT_FALSE(refused.field("retry-after").empty());
  for (int i = 0; i < kClients; ++i) {
    Client& client = clients[static_cast<size_t>(i)];
    if (i % 8 == 0) {
      expect_complete(client.reply(), false);
      continue;
    }
    const std::string rest = client.read_all();
    EXPECT_THAT(rest, HasSubstr("\"finish_reason\":\"length\""));
    EXPECT_TRUE(rest.ends_with("data: [DONE]\n\n\r\n0\r\n\r\n")) << rest.substr(rest.size() - 200);
  }
  EXPECT_EQ(serve.wait(), 0);
}

TEST(ServeProcess, ASecondSignalEndsItAtOnce) {
  Serve serve({"--port", "0"});
  Client client(serve.port());
  client.send(post("/v1/completions",
                   R"({"prompt": "Once", "n": 128, "max_tokens": 500, "ignore_eos": true, "stream": true})"));
  client.read_until("data: ");
  serve.send(SIGTERM);
  serve.wait_for("shutting down: ");
  serve.send(SIGTERM);
  EXPECT_EQ(serve.wait(), -SIGTERM);
}

// Nothing is left behind that would be in the way: neither the port, in whatever state its connections are, nor the
// file of a unix socket.
TEST(ServeProcess, ServesAgainRightAfterItWasKilled) {
  const std::string path =
      fmt::format("{}/reprise-killed-{}.sock", std::filesystem::temp_directory_path().string(), getpid());
  for (const bool unix_socket : {false, true}) {
    std::vector<std::string> flags =
        unix_socket ? std::vector<std::string>{"--uds", path} : std::vector<std::string>{"--port", "0"};
    const auto connect = [&](const Serve& serve) {
      return unix_socket ? Client(path) : Client(serve.port());
    };
    std::string before;
    {
      Serve killed(flags);
      before = ask(connect(killed), kShort).body;
      std::vector<Client> clients;
      for (int i = 0; i < 16; ++i) {
        clients.push_back(connect(killed));
        clients.back().send(long_request(i, true));
        clients.back().read_until("data: ");
      }
      if (!unix_socket) flags[1] = std::to_string(killed.port());
      killed.send(SIGKILL);
      EXPECT_EQ(killed.wait(), -SIGKILL);
      for (Client& client : clients) EXPECT_TRUE(client.ends_within(seconds(10)));
    }
    EXPECT_EQ(std::filesystem::exists(path), unix_socket);
    const auto start = std::chrono::steady_clock::now();
    const Serve again(flags);
    const Reply reply = ask(connect(again), kShort);
    EXPECT_LT(std::chrono::steady_clock::now() - start, seconds(60)) << "of which a sanitizer takes most";
    EXPECT_EQ(reply.status, 200) << reply.body;
    const auto said = [](const std::string& body) {
      return body.substr(body.find("\"system_fingerprint\""));
    };
    EXPECT_EQ(said(reply.body), said(before)) << "the same bits as before";
  }
  std::filesystem::remove(path);
}

// Steps that break now and then are their requests' trouble. Where none works any more, whoever watches the process
// is to start it again.
TEST(ServeProcess, AnEngineThatStopsForGoodEndsItWithAnError) {
  namespace fs = std::filesystem;
  const fs::path folder = fs::temp_directory_path() / fmt::format("reprise-breaking-{}", getpid());
  const std::string breaks = (folder / "breaks").string();
  fs::remove_all(folder);
  fs::copy(kTiny, folder);
  std::string config;
  std::getline(std::ifstream(folder / "config.json"), config, '\0');
  config.replace(config.find("LlamaForCausalLM"), std::strlen("LlamaForCausalLM"), "BreakingLlama");
  std::ofstream(folder / "config.json") << config;
  setenv("BREAKS_WHILE_THERE", breaks.c_str(), 1);
  Serve serve({"--port", "0", "--max-num-seqs", "1"}, REPRISE_WITH_FAMILY, folder.string());
  unsetenv("BREAKS_WHILE_THERE");
  for (int round = 0; round < 3; ++round) {
    std::ofstream{breaks};
    for (int i = 0; i < 5; ++i) EXPECT_EQ(ask(Client(serve.port()), kShort).status, 500);
    fs::remove(breaks);
    EXPECT_EQ(ask(Client(serve.port()), kShort).status, 200);
  }
  std::vector<Client> clients;
  for (int i = 0; i < 12; ++i) {
    clients.emplace_back(serve.port());
    clients.back().send(long_request(i, i % 4 != 0));
    if (i % 4 != 0) {
      EXPECT_TRUE(clients.back().read_until("\r\n\r\n").starts_with("HTTP/1.1 200 "));
    }
  }
  std::ofstream{breaks};
  for (size_t i = 0; i < clients.size(); ++i) {
    const std::string rest = clients[i].read_all();
    EXPECT_TRUE(i % 4 != 0 || rest.starts_with("HTTP/1.1 500 ")) << rest;
    EXPECT_THAT(rest, HasSubstr("{\"error\":{\"message\":\"")) << i;
    EXPECT_THAT(rest, testing::Not(HasSubstr("\"finish_reason\":\"length\""))) << i;
  }
  EXPECT_THAT(serve.wait_for("reprise: error: "), HasSubstr("stopped for good"));
  EXPECT_EQ(serve.wait(), 1);
  fs::remove_all(folder);
}

}  // namespace
}  // namespace reprise::server
