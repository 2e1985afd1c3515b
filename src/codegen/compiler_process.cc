#include "codegen/compiler_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <thread>
#include <utility>

#include "core/error.h"
#include "graph/kernel_compiler.h"

extern char** environ;

namespace reprise::codegen {
namespace {

using namespace std::chrono_literals;

constexpr int kExitNoLibrary =
    127;  // of the system's loader, which also says on standard error what it lacks

// Where the program may lie, in the order of preference.
std::string find_program(const std::string& wanted) {
  if (!wanted.empty()) return wanted;
  if (const char* set = std::getenv("REPRISE_COMPILER"); set && *set) return set;
  std::error_code none;
  const std::filesystem::path here = std::filesystem::read_symlink("/proc/self/exe", none).parent_path();
  for (const std::filesystem::path& path :
       {here / "reprise-compiler", here.parent_path() / "libexec/reprise/reprise-compiler",
        std::filesystem::path(REPRISE_COMPILER_INSTALLED)})
    if (std::filesystem::exists(path, none)) return path.string();
  if (CompilerProcess::built_with().empty())
    throw Error("this build has no reprise-compiler; set REPRISE_COMPILER to the path of one");
  throw Error(
      "the program reprise-compiler was not found: it belongs beside reprise or in ../libexec/reprise; "
      "or set REPRISE_COMPILER to its path");
}

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() {
    if (fd_ >= 0) close(fd_);
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

// In a program whose standard streams are closed a new descriptor can be one of theirs, which the child would
// inherit.
int above_standard(int fd) {
  if (fd < 0 || fd > STDERR_FILENO) return fd;
  const int higher = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  close(fd);
  return higher;
}

// posix_spawn()'s two arguments, which must be freed.
struct SpawnSettings {
  SpawnSettings() {
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
  }
  ~SpawnSettings() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
};

template <typename T>
std::string_view bytes_of(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}

std::string describe_status(int status) {
  if (WIFSIGNALED(status)) {
    const char* name = sigdescr_np(WTERMSIG(status));
    return fmt::format("was ended by signal {} ({})", WTERMSIG(status), name ? name : "unknown");
  }
  if (WEXITSTATUS(status) == kExitNoLibrary)
    return "could not be run (exit code 127); it needs libLLVM: apt-get install libllvm19";
  return fmt::format("ended with exit code {}", WEXITSTATUS(status));
}

}  // namespace

std::string_view code_of(CompileFailure failure) {
  constexpr std::string_view kCodes[] = {"refused", "deadline", "compiler_died", graph::kNoCompiler};
  return kCodes[static_cast<size_t>(failure)];
}

std::string_view CompilerProcess::built_with() {
  return REPRISE_BUILT_WITH;
}

bool CompilerProcess::is_there() {
  try {
    return access(find_program({}).c_str(), X_OK) == 0;
  } catch (const Error&) {
    return false;
  }
}

CompilerProcess::CompilerProcess(Options options) : options_(std::move(options)) {}

CompilerProcess::~CompilerProcess() {
  stop();
}

void CompilerProcess::stop() noexcept {
  if (socket_ >= 0) close(std::exchange(socket_, -1));
  if (child_) reap();
}

// Ends the child, if it has not ended by itself, and gives how it ended.
std::string CompilerProcess::reap() noexcept {
  int status = 0;
  pid_t ended = waitpid(child_, &status, WNOHANG);
  // Where the program ignores SIGCHLD (or something waited for our child), the id may be another process's by
  // now.
  if (ended == 0) {
    kill(child_, SIGKILL);
    do ended = waitpid(child_, &status, 0);
    while (ended < 0 && errno == EINTR);
  }
  const bool known = ended == child_;
  child_ = 0;
  return known ? describe_status(status) : "ended";
}

void CompilerProcess::fail(CompileFailure failure, const std::string& message) {
  stop();
  throw CompileError(failure, message);
}

// The child closed its end: nearly always because it ended, which may take it another moment to complete.
void CompilerProcess::fail_ended() {
  siginfo_t info{};
  for (int i = 0;
       i < 500 && waitid(P_PID, static_cast<id_t>(child_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
       info.si_pid == 0;
       ++i)
    std::this_thread::sleep_for(1ms);
  const std::string how = info.si_pid == 0 ? "closed its end of the connection" : reap();
  fail(CompileFailure::compiler_died, fmt::format("reprise-compiler {}", how));
}

void CompilerProcess::start() {
  if (!available())
    throw CompileError(CompileFailure::no_compiler,
                       fmt::format("{} (given up after {} attempts)", start_error_, failed_starts_));
  try {
    start_or_throw();
    greet();
    failed_starts_ = 0;
  } catch (const std::exception& error) {
    stop();
    ++failed_starts_;
    start_error_ = fmt::format("no kernels can be compiled: {}", error.what());
    throw CompileError(CompileFailure::no_compiler, start_error_);
  }
}

void CompilerProcess::start_or_throw() {
  path_ = find_program(options_.program);
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    throw Error("no connection to a child process: {}", std::strerror(errno));
  Fd ours(above_standard(ends[0]));
  const Fd theirs(above_standard(ends[1]));

  SpawnSettings settings;
  posix_spawn_file_actions_adddup2(&settings.actions, theirs.get(), STDIN_FILENO);
  posix_spawn_file_actions_addopen(&settings.actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addclosefrom_np(&settings.actions, STDERR_FILENO + 1);
  // What the engine's threads block or ignore is nothing to the child.
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&settings.attributes, &none);
  posix_spawnattr_setsigdefault(&settings.attributes, &all);
  posix_spawnattr_setpgroup(&settings.attributes, 0);
  posix_spawnattr_setflags(&settings.attributes,
                           POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  std::string program = path_;
  char* const arguments[] = {program.data(), nullptr};
  if (const int error =
          posix_spawn(&child_, path_.c_str(), &settings.actions, &settings.attributes, arguments, environ)) {
    child_ = 0;
    throw Error("{} could not be started: {}", path_, std::strerror(error));
  }
  socket_ = ours.release();
  limit_child();
}

// From here, not by the child itself: then it holds whatever program that is. Before the child's first
// answer.
void CompilerProcess::limit_child() const {
  // The soft limit alone: a sanitizer's start in the child reads and writes the same limits at this moment, and could not
  // write back a higher hard one.
  rlimit core{};
  bool set = prlimit(child_, RLIMIT_CORE, nullptr, &core) == 0;
  core.rlim_cur = 0;
  set = set && prlimit(child_, RLIMIT_CORE, &core, nullptr) == 0;
#ifndef REPRISE_SANITIZED  // a sanitizer's shadow is larger than any limit
  rlimit memory{};
  if (prlimit(child_, RLIMIT_AS, nullptr, &memory) == 0) {
    // A limit that the engine itself is under stays.
    memory.rlim_cur = memory.rlim_max = std::min<rlim_t>(memory.rlim_max, options_.memory_bytes);
    set = set && prlimit(child_, RLIMIT_AS, &memory, nullptr) == 0;
  } else {
    set = false;
  }
#endif
  if (!set && errno != ESRCH)
    throw Error("the memory of {} cannot be limited: {}", path_, std::strerror(errno));
  // The rest is politeness: where the system refuses, go on.
  const sched_param batch{};
  sched_setscheduler(child_, SCHED_BATCH, &batch);
  setpriority(PRIO_PROCESS, static_cast<id_t>(child_), 5);
}

void CompilerProcess::greet() {
  const std::string answer = ask(FrameKind::hello, {}, options_.start_deadline);
  const std::string expected = hello_text("");
  if (!answer.starts_with(expected) || answer.size() == expected.size())
    throw Error("{} is not of this build; install both from one build, or unset REPRISE_COMPILER", path_);
  name_ = answer.substr(expected.size());
}

const std::string& CompilerProcess::name() {
  if (name_.empty()) start();
  return name_;
}

Compiled CompilerProcess::compile(const CompileRequest& request, std::chrono::milliseconds deadline) {
  const std::string_view level = name_of(request.level);
  const size_t bytes = sizeof(CompileHeader) + level.size() + request.options.size() + request.program.size();
  if (bytes > kMostRequestBytes)
    throw CompileError(CompileFailure::refused,
                       fmt::format("a kernel of {} bytes of text is above the compiler's limit of {}", bytes,
                                   kMostRequestBytes));
  const CompileHeader header = {.output = request.output,
                                .deadline_ms = static_cast<uint32_t>(deadline.count()),
                                .level_bytes = static_cast<uint32_t>(level.size()),
                                .options_bytes = static_cast<uint32_t>(request.options.size()),
                                .program_bytes = static_cast<uint32_t>(request.program.size())};
  // A child that ended while there was nothing to do (the system took its memory, say) is replaced.
  if (child_) {
    siginfo_t info{};
    if (waitid(P_PID, static_cast<id_t>(child_), &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid != 0)
      stop();
  }
  if (!child_) start();
  const auto begin = Clock::now();
  const std::string_view payload[] = {bytes_of(header), level, request.options, request.program};
  const std::string answer = ask(FrameKind::compile, payload, deadline);
  Compiled compiled;
  const auto* data = reinterpret_cast<const std::byte*>(answer.data());
  compiled.bytes.assign(data, data + answer.size());
  compiled.took = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begin);
  return compiled;
}

// How long a child is waited for. One that could run and got no core is not slow: it then has `allowed` of CPU time.
class CompilerProcess::Patience {
 public:
  Patience(pid_t child, std::chrono::milliseconds allowed)
      : child_(child), allowed_(allowed), cpu_before_(cpu()) {}

  std::chrono::milliseconds allowed() const { return allowed_; }
  // 0 or less: no longer.
  int64_t left_ms() {
    const auto took = std::chrono::floor<std::chrono::milliseconds>(Clock::now() - begin_);
    if (took < allowed_) return (allowed_ - took).count();
    if (took >= kMostTimes * allowed_ || cpu() - cpu_before_ >= allowed_) return 0;
    // Asleep twice in a row: it hangs. Once: it may just have got its core, or have answered.
    const char now = state();
    const bool asleep = now == 'S' || now == 'Z';
    return std::exchange(asleep_, asleep) && asleep ? 0 : kPause.count();
  }

 private:
  static constexpr int kMostTimes = 10;
  static constexpr std::chrono::milliseconds kPause{50};

  std::chrono::nanoseconds cpu() const {
    clockid_t clock{};
    timespec used{};
    if (clock_getcpuclockid(child_, &clock) != 0 || clock_gettime(clock, &used) != 0) return {};
    return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
  }
  // As in /proc: R where it runs or could, D where it waits for a disk, S where it waits for something else.
  char state() const {
    std::ifstream file(fmt::format("/proc/{}/stat", child_));
    std::string text;
    std::getline(file, text);
    const size_t name_end = text.rfind(')');
    return name_end == std::string::npos || name_end + 2 >= text.size() ? 'Z' : text[name_end + 2];
  }

  pid_t child_;
  std::chrono::milliseconds allowed_;
  Clock::time_point begin_ = Clock::now();
  std::chrono::nanoseconds cpu_before_;
  bool asleep_ = false;  // when it was looked at last
};

std::string CompilerProcess::ask(FrameKind kind, std::span<const std::string_view> payload,
                                 std::chrono::milliseconds allowed) {
  Patience patience(child_, allowed);
  FrameHeader header = {.kind = kind, .number = ++number_};
  std::string question(sizeof(header), '\0');
  for (const std::string_view part : payload) question += part;
  header.bytes = static_cast<uint32_t>(question.size() - sizeof(header));
  std::memcpy(question.data(), &header, sizeof(header));

  size_t sent = 0;
  std::string answer;
  exchange(question, sent, answer, sizeof(FrameHeader), patience);
  FrameHeader got;
  std::memcpy(&got, answer.data(), sizeof(got));
  const bool known =
      got.kind == FrameKind::done || got.kind == FrameKind::failed || got.kind == FrameKind::ending;
  if (got.magic != kFrameMagic || !known || got.number != number_)
    fail(CompileFailure::compiler_died, "reprise-compiler answered what is no answer; it was ended");
  if (got.bytes > kMostAnswerBytes)
    fail(CompileFailure::compiler_died,
         fmt::format("reprise-compiler answered {} bytes, above the limit of {}; it was ended", got.bytes,
                     kMostAnswerBytes));
  answer.clear();
  exchange(question, sent, answer, got.bytes, patience);
  // With a part of the question still to be sent, the next one would be read as that part.
  if (got.kind == FrameKind::ending || sent < question.size()) stop();
  if (got.kind == FrameKind::failed) throw CompileError(CompileFailure::refused, answer);
  if (got.kind == FrameKind::ending) throw CompileError(CompileFailure::compiler_died, answer);
  return answer;
}

// Sends what is left of the question, as far as the child takes it, while reading `wanted` bytes of its
// answer: one that answers before it has read all must not block for ever.
void CompilerProcess::exchange(std::string_view question, size_t& sent, std::string& answer, size_t wanted,
                               Patience& patience) {
  constexpr size_t kPiece = 1 << 16;  // memory is taken as bytes arrive, not as the answer promises
  while (answer.size() < wanted) {
    const int64_t left = patience.left_ms();
    if (left <= 0)
      fail(CompileFailure::deadline,
           fmt::format("reprise-compiler took longer than {} ms and was ended", patience.allowed().count()));
    pollfd event = {.fd = socket_, .events = POLLIN, .revents = 0};
    if (sent < question.size()) event.events |= POLLOUT;
    const int ready = poll(&event, 1, static_cast<int>(std::min<int64_t>(left, 60'000)));
    if (ready < 0 && errno != EINTR)
      fail(CompileFailure::compiler_died,
           fmt::format("waiting for reprise-compiler: {}", std::strerror(errno)));
    if (ready <= 0) continue;
    if (event.revents & POLLIN) {
      const size_t before = answer.size();
      const size_t piece = std::min(kPiece, wanted - before);
      answer.resize(before + piece);
      const ssize_t got = recv(socket_, answer.data() + before, piece, MSG_DONTWAIT);
      answer.resize(before + (got > 0 ? static_cast<size_t>(got) : 0));
      if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) fail_ended();
    } else if (event.revents & POLLOUT) {
      const ssize_t put =
          send(socket_, question.data() + sent, question.size() - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (put >= 0)
        sent += static_cast<size_t>(put);
      else if (errno != EAGAIN && errno != EINTR)
        fail_ended();
    } else if (event.revents & (POLLERR | POLLHUP | POLLNVAL)) {
      fail_ended();
    }
  }
}

}  // namespace reprise::codegen
