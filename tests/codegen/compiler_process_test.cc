#include "codegen/compiler_process.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include "core/error.h"

namespace reprise::codegen {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

constexpr auto kLong = 60s;  // where nothing should take long, on a busy machine

// The environment variable, as long as this lives.
class Environment {
 public:
  Environment(const char* name, const std::string& value) : name_(name) { setenv(name, value.c_str(), 1); }
  ~Environment() { unsetenv(name_); }

 private:
  const char* name_;
};

size_t open_files() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<size_t>(std::distance(begin(all), end(all)));
}

// Every test leaves neither a child nor a descriptor.
class Process : public ::testing::Test {
 protected:
  static CompilerProcess::Options fake() {
    return {.program = REPRISE_FAKE_COMPILER, .start_deadline = kLong};
  }

  ~Process() override {
    EXPECT_EQ(open_files(), files_);
    EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "a child, or a zombie, is left";
    EXPECT_EQ(errno, ECHILD);
  }

  static std::string ask(CompilerProcess& compiler, const std::string& program,
                         std::chrono::milliseconds deadline = kLong) {
    const Compiled compiled =
        compiler.compile({.level = Isa::avx512, .options = "o;", .program = program}, deadline);
    return {reinterpret_cast<const char*>(compiled.bytes.data()), compiled.bytes.size()};
  }

  static std::string error_of(const std::function<void()>& action) {
    try {
      action();
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }
  static std::string error_of(CompilerProcess& compiler, const std::string& program,
                              std::chrono::milliseconds deadline = kLong) {
    return error_of([&] { ask(compiler, program, deadline); });
  }

 private:
  const size_t files_ = open_files();
};

TEST_F(Process, StartsOnDemandAndOneChildServesAll) {
  CompilerProcess compiler(fake());
  EXPECT_EQ(compiler.child(), 0);
  EXPECT_EQ(compiler.name(), "fake 1.2");
  const pid_t child = compiler.child();
  EXPECT_NE(child, 0);
  for (int i = 0; i < 50; ++i)
    EXPECT_EQ(ask(compiler, fmt::format("p{}", i)), fmt::format("0avx512o;p{}", i));
  EXPECT_EQ(compiler.child(), child);
  const Compiled text =
      compiler.compile({.output = Output::assembly, .level = Isa::amx, .options = "", .program = ""}, kLong);
  EXPECT_EQ(text.bytes.size(), 4U);  // "2amx"
  compiler.stop();
  EXPECT_EQ(compiler.child(), 0);
  EXPECT_EQ(compiler.name(), "fake 1.2");  // known still
  EXPECT_EQ(compiler.child(), 0);
}

TEST_F(Process, LargeRequestsAndAnswers) {
  CompilerProcess compiler(fake());
  const std::string program(kMostRequestBytes - 100, 'p');
  EXPECT_EQ(ask(compiler, program), "0avx512o;" + program);
  const pid_t child = compiler.child();
  EXPECT_THAT(error_of(compiler, std::string(kMostRequestBytes, 'p')),
              HasSubstr("above the compiler's limit"));
  EXPECT_EQ(ask(compiler, "p"), "0avx512o;p");
  EXPECT_EQ(compiler.child(), child);
}

TEST_F(Process, ARefusalCostsNoChild) {
  CompilerProcess compiler(fake());
  EXPECT_EQ(error_of(compiler, "refuse"), "this program is refused");
  const pid_t child = compiler.child();
  EXPECT_EQ(ask(compiler, "p"), "0avx512o;p");
  EXPECT_EQ(compiler.child(), child);
}

TEST_F(Process, AChildThatFailsIsReplaced) {
  const std::pair<const char*, const char*> cases[] = {
      {"crash", "reprise-compiler was ended by signal 11 (Segmentation fault)"},
      {"abort", "reprise-compiler was ended by signal 6 (Aborted)"},
      {"exit", "reprise-compiler ended with exit code 3"},
      {"garbage", "answered what is no answer"},
      {"half", "reprise-compiler ended with exit code 0"},
      {"too much", "above the limit of 67108864"},
      {"wrong number", "answered what is no answer"},
      {"question", "answered what is no answer"},
      {"close", "reprise-compiler closed its end of the connection"},
      {"give up", "this program is the last"},
  };
  CompilerProcess compiler(fake());
  for (const auto& [program, reason] : cases) {
#ifdef REPRISE_SANITIZED  // which makes an exit code of a signal
    if (program == std::string("crash") || program == std::string("abort")) continue;
#endif
    EXPECT_THAT(error_of(compiler, program), HasSubstr(reason)) << program;
    EXPECT_EQ(compiler.child(), 0) << program;
    EXPECT_EQ(ask(compiler, "p"), "0avx512o;p") << program;
  }
  EXPECT_TRUE(compiler.available());
}

TEST_F(Process, AChildThatHangsIsEndedAtTheDeadline) {
  CompilerProcess compiler(fake());
  for (const char* program : {"hang", "slow half"}) {
    ask(compiler, "p");
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_EQ(error_of(compiler, program, 100ms), "reprise-compiler took longer than 100 ms and was ended");
    EXPECT_GE(std::chrono::steady_clock::now() - begin, 100ms);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 20s);
    EXPECT_EQ(compiler.child(), 0);
  }
  EXPECT_EQ(ask(compiler, "p"), "0avx512o;p");
}

// On a busy machine, which a stopped child stands for: it could run, and does not.
TEST_F(Process, AChildThatGetsNoCoreIsGivenMoreTime) {
  CompilerProcess compiler(fake());
  ask(compiler, "p");
  const pid_t child = compiler.child();
  const auto stopped = [&] {
    kill(child, SIGSTOP);
    siginfo_t info{};
    waitid(P_PID, static_cast<id_t>(child), &info, WSTOPPED | WNOWAIT);
  };
  stopped();
  std::thread later([&] {
    std::this_thread::sleep_for(500ms);
    kill(child, SIGCONT);
  });
  std::string answer;
  EXPECT_EQ(error_of([&] { answer = ask(compiler, "p", 100ms); }), "no error");
  later.join();
  EXPECT_EQ(answer, "0avx512o;p");
  EXPECT_EQ(compiler.child(), child);
  stopped();
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(error_of(compiler, "p", 100ms), "reprise-compiler took longer than 100 ms and was ended");
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 1s);
  EXPECT_EQ(compiler.child(), 0);
}

TEST_F(Process, AChildThatDoesNotReadBlocksNobody) {
  CompilerProcess compiler(fake());
  const std::string large(8 << 20, 'p');
  {
    const Environment deaf("REPRISE_FAKE_START", "deaf");
    compiler.name();
    EXPECT_EQ(error_of(compiler, large, 100ms), "reprise-compiler took longer than 100 ms and was ended");
  }
  {
    const Environment early("REPRISE_FAKE_START", "early");
    EXPECT_EQ(ask(compiler, large), "before the question was read");
    EXPECT_EQ(compiler.child(), 0);  // the rest of the question must not become the next one
  }
  EXPECT_EQ(ask(compiler, "p"), "0avx512o;p");
}

TEST_F(Process, AnAnswerTooManyDoesNotAnswerTheNextQuestion) {
  CompilerProcess compiler(fake());
  EXPECT_EQ(ask(compiler, "twice"), "0avx512o;twice");
  EXPECT_THAT(error_of(compiler, "p"), HasSubstr("answered what is no answer"));
  EXPECT_EQ(ask(compiler, "p"), "0avx512o;p");
}

TEST_F(Process, AChildThatEndedWhileIdleIsReplaced) {
  CompilerProcess compiler(fake());
  ask(compiler, "p");
  const pid_t child = compiler.child();
  kill(child, SIGKILL);
  siginfo_t info{};
  waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT);
  EXPECT_EQ(ask(compiler, "p"), "0avx512o;p");
  EXPECT_NE(compiler.child(), child);
}

#ifndef REPRISE_SANITIZED
TEST_F(Process, AChildThatTakesAllMemoryMeetsItsLimit) {
  CompilerProcess::Options options = fake();
  options.memory_bytes = size_t{128} << 20;
  CompilerProcess compiler(options);
  EXPECT_THAT(error_of(compiler, "allocate"), HasSubstr("signal 6"));  // std::bad_alloc
  EXPECT_EQ(ask(compiler, "p"), "0avx512o;p");
}

TEST_F(Process, TheChildIsPoliteAndInheritsNothing) {
  const int inherited = open("/dev/null", O_RDONLY);  // not close-on-exec
  sigset_t blocked, before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &blocked, &before);
  const auto pipe = signal(SIGPIPE, SIG_IGN);
  CompilerProcess compiler(fake());
  EXPECT_EQ(ask(compiler, "limits"),
            "nice 5 batch 1 memory 2147483648 core 0 leader 1 blocked 0 ignored 0 files 3");
  signal(SIGPIPE, pipe);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  close(inherited);
}
#endif

TEST_F(Process, WhereNoneCanBeStartedItIsNotTriedForEver) {
  CompilerProcess missing({.program = "/nowhere/reprise-compiler"});
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(missing.available());
    EXPECT_EQ(error_of(missing, "p"),
              "no kernels can be compiled: /nowhere/reprise-compiler could not be started: "
              "No such file or directory");
  }
  EXPECT_FALSE(missing.available());
  EXPECT_THAT(error_of(missing, "p"), HasSubstr("(given up after 3 attempts)"));
  EXPECT_THAT(error_of([&] { missing.name(); }), HasSubstr("(given up after 3 attempts)"));
}

TEST_F(Process, AProgramThatIsNotOursIsRefused) {
  const std::pair<const char*, const char*> cases[] = {
      {"no library", "it needs libLLVM: apt-get install libllvm19"},
      {"other build", "is not of this build; install both from one build"},
      {"other protocol", "is not of this build"},
  };
  for (const auto& [start, reason] : cases) {
    CompilerProcess compiler(fake());
    {
      const Environment told("REPRISE_FAKE_START", start);
      for (int i = 0; i < 2; ++i) EXPECT_THAT(error_of(compiler, "p"), HasSubstr(reason)) << start;
    }
    EXPECT_EQ(ask(compiler, "p"), "0avx512o;p");  // which makes the count begin anew
    compiler.stop();
    const Environment told("REPRISE_FAKE_START", start);
    for (int i = 0; i < 2; ++i) EXPECT_THAT(error_of(compiler, "p"), HasSubstr(reason)) << start;
    EXPECT_TRUE(compiler.available());
  }
  const Environment silent("REPRISE_FAKE_START", "silent");
  CompilerProcess compiler({.program = REPRISE_FAKE_COMPILER, .start_deadline = 100ms});
  EXPECT_THAT(error_of(compiler, "p"), HasSubstr("took longer than 100 ms"));
  // Any other program: it ends, or answers something else.
  CompilerProcess other({.program = "/bin/true", .start_deadline = kLong});
  EXPECT_THAT(error_of(other, "p"), HasSubstr("reprise-compiler ended with exit code 0"));
}

TEST_F(Process, IsFoundByTheEnvironment) {
  const Environment path("REPRISE_COMPILER", REPRISE_FAKE_COMPILER);
  CompilerProcess compiler;
  EXPECT_EQ(compiler.name(), "fake 1.2");
}

TEST_F(Process, WorksWhereChildrenAreReapedByThemselves) {
  const auto before = signal(SIGCHLD, SIG_IGN);
  {
    CompilerProcess compiler(fake());
    EXPECT_EQ(error_of(compiler, "exit"), "reprise-compiler closed its end of the connection");
    EXPECT_EQ(ask(compiler, "p"), "0avx512o;p");
    EXPECT_THAT(error_of(compiler, "hang", 100ms), HasSubstr("took longer"));
  }
  signal(SIGCHLD, before);
}

TEST_F(Process, WorksWhileOtherThreadsRun) {
  std::atomic<bool> done = false;
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i)
    threads.emplace_back([&, i] {
      CompilerProcess own(fake());
      while (!done) {
        EXPECT_EQ(ask(own, fmt::format("t{}", i)), fmt::format("0avx512o;t{}", i));
        own.stop();
      }
    });
  {
    CompilerProcess compiler(fake());
    for (int i = 0; i < 30; ++i) {
      EXPECT_EQ(error_of(compiler, "exit"), "reprise-compiler ended with exit code 3");
      EXPECT_EQ(ask(compiler, "p"), "0avx512o;p");
    }
  }
  done = true;
  for (std::thread& thread : threads) thread.join();
}

TEST_F(Process, EndsWhenTheEngineIsKilled) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const pid_t engine = fork();
  if (engine == 0) {
    CompilerProcess compiler(fake());
    compiler.name();
    const pid_t child = compiler.child();
    if (write(ends[1], &child, sizeof(child)) == sizeof(child)) raise(SIGKILL);
    _exit(1);
  }
  pid_t child = 0;
  ASSERT_EQ(read(ends[0], &child, sizeof(child)), static_cast<ssize_t>(sizeof(child)));
  close(ends[0]);
  close(ends[1]);
  EXPECT_EQ(waitpid(engine, nullptr, 0), engine);
  // Gone, or a zombie of whoever inherited it.
  const auto running = [&] {
    std::ifstream status(fmt::format("/proc/{}/stat", child));
    std::string number, name, state;
    return (status >> number >> name >> state) && state != "Z";
  };
  for (int i = 0; i < 2'000 && running(); ++i) std::this_thread::sleep_for(10ms);
  EXPECT_FALSE(running());
}

}  // namespace
}  // namespace reprise::codegen
