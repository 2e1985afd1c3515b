// Two processes that run the same steps: an engine, and a follower to which each step comes as bytes through a
// pipe.
#include "engine/follower.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include <cstring>

#include "core/error.h"
#include "device/cpu/isa_select.h"
#include "engine/runner/runner.h"
#include "tests/engine/ways_to_run.h"

namespace reprise::engine {
namespace {

using testing::HasSubstr;

struct Pipe {
  int ends[2];  // read, write
  Pipe() { REPRISE_CHECK(pipe(ends) == 0, "no pipe"); }
  ~Pipe() {
    for (const int end : ends)
      if (end >= 0) close(end);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
};

void send(int to, const void* data, size_t size) {
  const char* bytes = static_cast<const char*>(data);
  for (size_t sent = 0; sent < size;) {
    const ssize_t n = write(to, bytes + sent, size - sent);
    if (n <= 0) throw Error("the other rank is gone");
    sent += static_cast<size_t>(n);
  }
}
void receive(int from, void* data, size_t size) {
  char* bytes = static_cast<char*>(data);
  for (size_t got = 0; got < size;) {
    const ssize_t n = read(from, bytes + got, size - got);
    if (n <= 0) throw Error("the other rank is gone");
    got += static_cast<size_t>(n);
  }
}

class PipeCommunicator final : public Communicator {
 public:
  PipeCommunicator(int rank, int end) : rank_(rank), end_(end) {}
  int rank() const override { return rank_; }
  int world() const override { return 2; }
  void broadcast(std::vector<std::byte>& message) override {
    uint64_t size = message.size();
    if (rank_ == 0) {
      send(end_, &size, sizeof(size));
      send(end_, message.data(), message.size());
    } else {
      receive(end_, &size, sizeof(size));
      message.resize(size);
      receive(end_, message.data(), message.size());
    }
  }

 private:
  int rank_, end_;
};

// What a rank got: a row's number in the step, its token, the bits of its log-probability.
struct Chosen {
  int64_t step, row;
  int32_t token;
  uint32_t logprob;
  bool operator==(const Chosen&) const = default;
};

std::vector<Request> requests() {
  std::vector<Request> some;
  for (uint32_t i = 0; i < 6; ++i) {
    SamplingParams params{
        .temperature = i % 2 == 0 ? 0.0f : 1.0f, .seed = i, .max_tokens = 4 + static_cast<int>(i)};
    params.logprobs = 1;
    if (i == 3) params.repetition_penalty = 1.3f;
    if (i == 4) params.prompt_logprobs = 1;
    params.logit_bias = {{7, 0.5f}};
    some.push_back({small_prompt(3 + 9 * i, i), params});
    if (i == 5) some.back().token_mask = a_third_of_the_ids;
  }
  return some;
}

// Runs in the child: what it chose goes into `results`. Returns the exit status.
int run_follower(const EngineConfig& config, Isa isa, int from, int results) {
  ThreadTeam team(1);
  TestDevice device(team, isa);
  graph::DecomposingCompiler compiler(device);
  PipeCommunicator communicator(1, from);
  const auto model = small_model(team, device);
  int64_t step = 0;
  try {
    follow(*model, {device, &compiler, &communicator}, config, [&](const StepPlan& plan, Runner& runner) {
      for (int64_t row = 0; row < plan.sizes().rows; ++row)
        if (plan.samples[static_cast<size_t>(row)].mode == SampleMode::choose) {
          const TokenScore score = runner.samples().score(row);
          Chosen chosen{.step = step, .row = row, .token = score.token_id, .logprob = 0};
          std::memcpy(&chosen.logprob, &score.logprob, sizeof(float));
          send(results, &chosen, sizeof(chosen));
        }
      ++step;
    });
  } catch (const std::exception& error) {
    std::fprintf(stderr, "follower: %s\n", error.what());
    return 3;
  }
  return 0;
}

struct Ranks {
  Results engine;                // of rank 0
  std::vector<Chosen> follower;  // of rank 1, in order
  int status = 0;                // of rank 1
  std::string error;             // of rank 0
};

// `at_once`: the follower is expected to end at once, and is waited for before the first step.
Ranks run_ranks(const EngineConfig& config, Isa isa_of_follower = Isa::scalar, bool at_once = false) {
  Pipe plans, results;
  // Before any thread: the child shall have all of its own.
  const pid_t child = fork();
  REPRISE_CHECK(child >= 0, "no process");
  if (child == 0) {
    close(plans.ends[1]);
    close(results.ends[0]);
    const int status = run_follower(config, isa_of_follower, plans.ends[0], results.ends[1]);
    _exit(status);
  }
  Ranks ranks;
  for (int* own : {&plans.ends[0], &results.ends[1]}) {  // the child's ends
    close(*own);
    *own = -1;
  }
  {
    ThreadTeam team(2);
    TestDevice device(team, Isa::scalar);
    graph::DecomposingCompiler compiler(device);
    PipeCommunicator communicator(0, plans.ends[1]);
    try {
      Engine engine(small_model(team, device), {device, &compiler, &communicator}, config,
                    [&](const OutputEvent& event) {
                      ranks.engine[{event.request, event.output}].take(event);
                    });
      if (at_once) waitpid(child, &ranks.status, 0);
      for (Request& request : requests()) engine.submit(std::move(request));
      engine.run();
    } catch (const Error& error) {
      ranks.error = error.what();
    }
  }
  Chosen chosen{};
  while (read(results.ends[0], &chosen, sizeof(chosen)) == sizeof(chosen)) ranks.follower.push_back(chosen);
  if (!at_once) waitpid(child, &ranks.status, 0);
  return ranks;
}

TEST(Follower, RunsThePlansOfAnotherProcessToTheSameTokens) {
  std::signal(SIGPIPE, SIG_IGN);
  for (const Way& way : ways_to_run()) {
    SCOPED_TRACE(way.name);
    EngineConfig config = small_engine_config();
    config.graph = way.graph;
    config.max_num_batched_tokens = 32;   // chunks
    config.num_gpu_blocks_override = 12;  // preemption
    const Ranks ranks = run_ranks(config);
    ASSERT_EQ(ranks.status, 0);
    ASSERT_EQ(ranks.error, "");
    // The multiset of all chosen tokens with their log-probabilities is the same: the follower doesn't know
    // whose a row is.
    std::vector<std::pair<int32_t, uint32_t>> found, expected;
    for (const Chosen& chosen : ranks.follower) found.emplace_back(chosen.token, chosen.logprob);
    for (const auto& [key, result] : ranks.engine) {
      EXPECT_EQ(result.error, "");
      for (size_t i = 0; i < result.token_ids.size(); ++i) {
        uint32_t bits = 0;
        std::memcpy(&bits, &result.scores[i].logprob, sizeof(bits));
        expected.emplace_back(result.token_ids[i], bits);
      }
    }
    EXPECT_EQ(expected.size(), 39u);
    EXPECT_THAT(found, testing::UnorderedElementsAreArray(expected));
  }
}

TEST(Follower, AnotherLevelIsRefusedAndTheEngineSaysThatItIsAlone) {
  std::signal(SIGPIPE, SIG_IGN);
  if (cpu::available_isas().size() < 2) GTEST_SKIP() << "this machine has one ISA level";
  testing::internal::CaptureStderr();
  const Ranks ranks = run_ranks(small_engine_config(), cpu::available_isas().back(), /*at_once=*/true);
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("rank 0 runs at level scalar"));
  EXPECT_EQ(WEXITSTATUS(ranks.status), 3);
  size_t told = 0;
  for (const auto& [key, result] : ranks.engine)
    if (result.error.find("the other rank is gone") != std::string::npos) ++told;
  EXPECT_EQ(told, requests().size());
}

TEST(Follower, OnlyRankZeroTakesRequests) {
  ThreadTeam team(1);
  TestDevice device(team, Isa::scalar);
  PipeCommunicator communicator(1, -1);
  const EngineServices services{device, nullptr, &communicator};
  try {
    Engine engine(small_model(team, device), services, small_engine_config(), [](const OutputEvent&) {});
    FAIL() << "two ranks would decide";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("this is rank 1; only rank 0 takes requests"));
  }
}

TEST(StartDecisions, AreBytesAndBack) {
  const StartDecisions decided{
      .level = "avx512_bf16", .num_kv_blocks = 77, .graph_opt_level = 2, .use_cudagraph = true};
  std::vector<std::byte> bytes = to_bytes(decided);
  EXPECT_EQ(start_decisions_of(bytes), decided);
  bytes.pop_back();
  EXPECT_THROW(start_decisions_of(bytes), Error);
  EXPECT_THROW(start_decisions_of({}), Error);
}

}  // namespace
}  // namespace reprise::engine
