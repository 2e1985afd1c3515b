// A child that speaks the compiler's protocol and does what the program text (or $REPRISE_FAKE_PROGRAM in its place
// and, at the start, $REPRISE_FAKE_START) tells it to: hang, crash, lie. $REPRISE_FAKE_NAME is its name.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "codegen/compiler_protocol.h"
#include "tests/codegen/small_object.h"

namespace {

using namespace reprise::codegen;

std::string receive(size_t bytes) {
  std::string got(bytes, '\0');
  for (size_t have = 0; have < bytes;) {
    const ssize_t piece = recv(STDIN_FILENO, got.data() + have, bytes - have, 0);
    if (piece <= 0) _exit(0);
    have += static_cast<size_t>(piece);
  }
  return got;
}

void send_all(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t put = send(STDIN_FILENO, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (put <= 0) _exit(0);
    bytes.remove_prefix(static_cast<size_t>(put));
  }
}

std::string frame(FrameKind kind, uint32_t number, std::string_view payload) {
  const FrameHeader header = {.kind = kind, .number = number, .bytes = static_cast<uint32_t>(payload.size())};
  return std::string(reinterpret_cast<const char*>(&header), sizeof(header)).append(payload);
}

[[noreturn]] void hang() {
  for (;;) pause();
}

std::string limits() {
  rlimit memory{}, core{};
  getrlimit(RLIMIT_AS, &memory);
  getrlimit(RLIMIT_CORE, &core);
  sigset_t blocked;
  sigprocmask(SIG_BLOCK, nullptr, &blocked);
  struct sigaction pipe {};
  sigaction(SIGPIPE, nullptr, &pipe);
  size_t files = 0;
  for ([[maybe_unused]] const auto& file : std::filesystem::directory_iterator("/proc/self/fd")) ++files;
  char text[200];
  std::snprintf(text, sizeof(text),
                "nice %d batch %d memory %zu core %zu leader %d blocked %d ignored %d files %zu",
                getpriority(PRIO_PROCESS, 0), sched_getscheduler(0) == SCHED_BATCH, size_t{memory.rlim_cur},
                size_t{core.rlim_cur}, getpgrp() == getpid(), sigismember(&blocked, SIGUSR1),
                pipe.sa_handler == SIG_IGN, files - 1);  // one is the listing's own
  return text;
}

void allocate_without_end() {
  std::vector<char*> taken;
  for (;;) {
    taken.push_back(new char[1 << 20]);
    std::memset(taken.back(), 1, 1 << 20);
  }
}

void do_as_told(const std::string& program, uint32_t number, const std::string& echo) {
  const auto answer = [&](FrameKind kind, std::string_view text) { send_all(frame(kind, number, text)); };
  if (program == "hang") hang();
  if (program == "crash") raise(SIGSEGV);
  if (program == "abort") raise(SIGABRT);
  if (program == "exit") _exit(3);
  if (program == "allocate") allocate_without_end();
  if (program == "garbage") return send_all(std::string(1000, 'x'));
  if (program == "half") {
    send_all(frame(FrameKind::done, number, std::string(1000, 'y')).substr(0, 500));
    _exit(0);
  }
  if (program == "slow half") {
    send_all(frame(FrameKind::done, number, std::string(1000, 'y')).substr(0, 500));
    hang();
  }
  if (program == "too much") {
    const FrameHeader header = {.kind = FrameKind::done, .number = number, .bytes = kMostAnswerBytes + 1};
    send_all({reinterpret_cast<const char*>(&header), sizeof(header)});
    for (;;) send_all(std::string(1 << 20, 'z'));
  }
  if (program == "wrong number") return send_all(frame(FrameKind::done, number + 1, "late"));
  if (program == "question") return send_all(frame(FrameKind::compile, number, "is no answer"));
  if (program == "close") {
    close(STDIN_FILENO);
    hang();
  }
  if (program == "refuse") return answer(FrameKind::failed, "this program is refused");
  if (program == "give up") {
    answer(FrameKind::ending, "this program is the last");
    hang();
  }
  if (program == "object") {  // that can be loaded
    SmallObject object = SmallObject::sample();
    object.symbols[SmallObject::kAnswer].name = "kernel";
    return answer(FrameKind::done, object.text());
  }
  if (program == "limits") return answer(FrameKind::done, limits());
  answer(FrameKind::done, echo);
  if (program == "twice") answer(FrameKind::done, echo);
}

}  // namespace

int main() {
  const char* told = std::getenv("REPRISE_FAKE_START");
  const std::string start = told ? told : "";
  if (start == "no library") return 127;
  if (start == "silent") hang();
  for (;;) {
    const std::string raw = receive(sizeof(FrameHeader));
    FrameHeader header;
    std::memcpy(&header, raw.data(), sizeof(header));
    if (header.kind == FrameKind::hello) {
      const char* name = std::getenv("REPRISE_FAKE_NAME");
      std::string hello = hello_text(name ? name : "fake 1.2");
      if (start == "other build") hello[hello.find('\n') + 1] ^= 1;
      if (start == "other protocol") hello[0] = 'x';
      send_all(frame(FrameKind::done, header.number, hello));
      if (start == "deaf") hang();
      if (start == "early")
        send_all(frame(FrameKind::done, header.number + 1, "before the question was read"));
      continue;
    }
    const std::string payload = receive(header.bytes);
    CompileHeader compile;
    std::memcpy(&compile, payload.data(), sizeof(compile));
    std::string program = payload.substr(payload.size() - compile.program_bytes);
    if (const char* instead = std::getenv("REPRISE_FAKE_PROGRAM")) program = instead;
    do_as_told(program, header.number,
               std::to_string(static_cast<uint32_t>(compile.output)) + payload.substr(sizeof(compile)));
  }
}
