#include "device/cpu/team_replay.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <set>

#include "core/error.h"
#include "core/fault.h"
#include "core/json.h"
#include "core/profiler.h"
#include "core/thread_team.h"
#include "tests/capture/steps.h"

namespace reprise::cpu {
namespace {

using namespace capture;

constexpr StepSizes kLargest{.tokens = 8, .seqs = 4};
constexpr Sharing kFixed(0, true);  // by all workers

// Three ways through the same memory: a is written, read twice, and written again.
void hazards(Step& step, int64_t nap_us) {
  const Tensor a = step.block.at(0, {kTokens, 4}), b = step.block.at(100, {kTokens, 4}),
               c = step.block.at(200, {kTokens, 4});
  step.mix_rows(a, {}, 1, nap_us);
  step.mix_rows(b, {a}, 2, nap_us);
  step.mix_rows(c, {a, b}, 3, nap_us);
  step.mix_rows(a, {}, 4);
  step.mix_rows(step.block.at(300, {kTokens}), {a, c}, 5);
}

std::vector<uint32_t> eager(Step& step, StepSizes sizes, int64_t nap_us = 0) {
  step.block.fill(1);
  step.stream.set_sizes(sizes);
  hazards(step, nap_us);
  return step.block.contents();
}

TEST(Replay, EqualsTheEagerOrderAtEverySize) {
  for (const int threads : {1, 2, 3, 8}) {
    Step step(threads);
    TeamReplay replay(step.record([&] { hazards(step, 0); }), kLargest, cpu_stream(step.stream));
    for (int repeat = 0; repeat < 50; ++repeat)
      for (int64_t tokens = 0; tokens <= 8; ++tokens)
        for (const Sharing sharing : {Sharing(0), Sharing(1), Sharing(2), kFixed, Sharing(2, true)}) {
          const StepSizes sizes{.tokens = tokens, .seqs = tokens / 2};
          const auto expected = eager(step, sizes);
          step.block.fill(1);
          replay.run_on(sizes, sharing);
          ASSERT_EQ(step.block.contents(), expected) << threads << " threads, T=" << tokens;
        }
  }
}

TEST(Replay, WaitsHoldWhileKernelsAreSlow) {
  Step step(3);
  TeamReplay replay(step.record([&] { hazards(step, 200); }), kLargest, cpu_stream(step.stream));
  const auto expected = eager(step, kLargest);
  for (int repeat = 0; repeat < 40; ++repeat) {
    step.block.fill(1);
    replay.run_on(kLargest, Sharing(0, repeat % 2 == 1));
    ASSERT_EQ(step.block.contents(), expected);
  }
}

// Each seeded fault that a replay can have makes the check above fail.
TEST(Replay, SeededFaultsAreCaught) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "most of these faults are data races, which ThreadSanitizer reports by itself";
#endif
  struct Seed {
    Fault fault;
    int64_t site, detail;
  };
  for (const Seed& seed :
       {Seed{Fault::replay_skips_waits_of_node, 3, 0},
        Seed{Fault::dependencies_ignore_write_after_read, 0, 0}, Seed{Fault::replay_shifts_address, 2, 1},
        Seed{Fault::replay_keeps_address_of_earlier, 2, 2}, Seed{Fault::replay_drops_last_token, 0, 0},
        Seed{Fault::replay_loses_last_item, 4, 0}}) {
    Step step(3);
    const auto expected = eager(step, kLargest);
    const FaultScope fault(seed.fault, seed.site, seed.detail);
    TeamReplay replay(step.record([&] { hazards(step, 500); }), kLargest, cpu_stream(step.stream));
    for (const bool fixed : {false, true}) {
      bool caught = false;
      for (int repeat = 0; repeat < 20 && !caught; ++repeat) {
        step.block.fill(1);
        replay.run_on(kLargest, Sharing(0, fixed));
        caught = step.block.contents() != expected;
      }
      EXPECT_TRUE(caught) << static_cast<int>(seed.fault) << (fixed ? " with fixed shares" : "");
    }
  }
}

// A node without items is still a link between those on both sides of it.
TEST(Replay, ANodeWithoutItemsKeepsTheOrder) {
  Step step(2);
  const Tensor a = step.block.at(0, {kSeqs, 64}), b = step.block.at(300, {4});
  const auto body = [&] {
    step.mix_rows(a, {}, 1, 300);                                                           // S items
    step.stream.launch(kMixInto, {.items = kTokens}, {updates(a)}, MixScalars{.salt = 2});  // none
    step.mix_rows(b, {a}, 3);
  };
  const StepSizes sizes{.tokens = 0, .seqs = 2};
  step.stream.set_sizes(sizes);
  body();
  const auto expected = step.block.contents();
  TeamReplay replay(step.record(body), kLargest, cpu_stream(step.stream));
  EXPECT_THAT(replay.waits_of(2), testing::ElementsAre(1));
  for (int repeat = 0; repeat < 40; ++repeat) {
    step.block.fill(1);
    replay.run_on(sizes, Sharing(0, repeat % 2 == 1));
    ASSERT_EQ(step.block.contents(), expected);
  }
}

TEST(Replay, AnEmptyRecordingIsAStepThatDoesNothing) {
  Step step(2);
  TeamReplay replay(Recording{}, kLargest, cpu_stream(step.stream));
  replay.run_on(kLargest);
  replay.run_on(kLargest, kFixed);
  replay.run_on(kLargest, 1);
}

struct Hold {
  std::atomic<int>* entered;
  std::atomic<bool>* released;
};

// Workers that the system has suspended take part in nothing, and nothing waits for them.
TEST(Replay, WorkersThatAreAwayHoldNobodyUp) {
  for (const Sharing sharing :
       {Sharing(2), Sharing(Cut::kFirstShareWorkers), Sharing(2, true), Sharing(8, true)}) {
    const int workers = sharing.workers;
    Step step(workers);
    TeamReplay replay(step.record([&] { hazards(step, 0); }), kLargest, cpu_stream(step.stream));
    const auto expected = eager(step, kLargest);
    std::atomic<int> entered{0};
    std::atomic<bool> released{false};
    const Hold hold{&entered, &released};
    const auto job = [hold, workers](int worker) {
      ++*hold.entered;
      const auto may_go = [&] { return worker == 0 ? *hold.entered == workers : hold.released->load(); };
      while (!may_go()) std::this_thread::yield();
    };
    step.team.fork(job, workers);
    for (int repeat = 0; repeat < 100; ++repeat) {
      step.block.fill(1);
      replay.run_on(kLargest, sharing);
      ASSERT_EQ(step.block.contents(), expected);
      ASSERT_EQ(eager(step, kLargest), expected);  // eager launches go on as well
    }
    released = true;
    step.team.wait_until_left();
  }
}

// Replays that die while workers are still on their way through them.
TEST(Replay, OutlivesItsStragglers) {
  Step step(8);
  const auto expected = eager(step, kLargest);
  for (int repeat = 0; repeat < 500; ++repeat) {
    TeamReplay replay(step.record([&] { hazards(step, 0); }), kLargest, cpu_stream(step.stream));
    step.block.fill(1);
    replay.run_on(kLargest, Sharing(0, repeat % 2 == 1));
    ASSERT_EQ(step.block.contents(), expected);
  }
}

// Two recordings and eager launches take turns on one team.
TEST(Replay, TakesTurnsWithOthers) {
  Step step(4);
  TeamReplay one(step.record([&] { hazards(step, 0); }), kLargest, cpu_stream(step.stream));
  TeamReplay other(step.record([&] { hazards(step, 0), hazards(step, 0); }), kLargest,
                   cpu_stream(step.stream));
  const auto expected = eager(step, kLargest);
  for (int repeat = 0; repeat < 1000; ++repeat) {
    step.block.fill(1);
    const bool fixed = repeat % 5 > 2;
    repeat % 3 == 0 ? one.run_on(kLargest, Sharing(0, fixed))
                    : other.run_on(kLargest, Sharing(2 + repeat % 3, fixed));
    ASSERT_EQ(step.block.contents(), expected);
    if (repeat % 7 == 0) {
      ASSERT_EQ(eager(step, kLargest), expected);
    }
  }
}

TEST(Replay, RunsNodeByNodeForChecks) {
  Step step(2);
  TeamReplay replay(step.record([&] { hazards(step, 0); }), kLargest, cpu_stream(step.stream));
  const auto expected = eager(step, kLargest);
  step.block.fill(1);
  for (size_t node = 0; node < replay.recording().launches().size(); ++node) replay.run_node(node, kLargest);
  EXPECT_EQ(step.block.contents(), expected);
}

Json trace_of(const Profiler& profiler) {
  const std::string path = testing::TempDir() + fmt::format("replay_trace_{}.json", getpid());
  profiler.write_chrome_trace(path);
  std::ifstream file(path);
  const Json trace = Json::parse(file);
  std::filesystem::remove(path);
  return trace["traceEvents"];
}

// A traced replay runs as an untraced one does: on the same workers, shared nodes side by side.
TEST(Replay, ATraceSaysWhichWorkerDidWhat) {
  for (const Sharing sharing : {Sharing(1), Sharing(3), Sharing(3, true)}) {
    const int workers = sharing.workers;
    Step step(3);
    TeamReplay replay(step.record([&] {
      const LayerScope layer("layers.1");
      hazards(step,
              2000);  // three nodes of 32 items, in naps of 2 ms a chunk: none is done before others come
    }),
                      kLargest, cpu_stream(step.stream));
    const auto expected = eager(step, kLargest);
    for (int repeat = 0; repeat < 3; ++repeat) {
      step.block.fill(1);
      Profiler profiler;
      const auto before = Profiler::Clock::now();
      replay.run_on(kLargest, sharing, true);
      const auto after = Profiler::Clock::now();
      replay.tell(kLargest, profiler);
      EXPECT_EQ(step.block.contents(), expected);
      ASSERT_EQ(profiler.events().size(), 5u);
      EXPECT_EQ(profiler.events()[0].name, "mix");
      EXPECT_EQ(profiler.events()[0].layer, "layers.1");
      EXPECT_EQ(profiler.events()[0].sizes, kLargest);
      for (const Profiler::Event& event : profiler.events()) {
        EXPECT_LE(before, event.begin);
        EXPECT_LE(event.begin, event.end);
        EXPECT_LE(event.end, after);
      }
      // Node 1 waits for node 0.
      EXPECT_LE(profiler.events()[0].end, profiler.events()[1].begin);
      std::set<int> tracks;
      double slept_us = 0;
      for (const Json& event : trace_of(profiler)) {
        if (event["ph"] != "X") continue;
        tracks.insert(event["tid"].get<int>());
        slept_us += event["dur"].get<double>();
        EXPECT_GE(event["ts"].get<double>(), 0);
      }
      if (workers == 1)
        EXPECT_THAT(tracks, testing::ElementsAre(2));
      else
        EXPECT_THAT(tracks, testing::ElementsAre(2, 3, 4));
      EXPECT_GE(slept_us, 3 * 2000);
      // Untraced replays and other numbers of workers in between leave nothing behind.
      replay.run_on(kLargest, 2);
    }
  }
}

// Workers that come late from one replay meet the next, traced or not.
TEST(Replay, TracesTakeTurnsWithOtherReplays) {
  Step step(8);
  TeamReplay replay(step.record([&] { hazards(step, 0); }), kLargest, cpu_stream(step.stream));
  const auto expected = eager(step, kLargest);
  Profiler profiler;
  for (int repeat = 0; repeat < 500; ++repeat) {
    step.block.fill(1);
    replay.run_on(kLargest, Sharing(1 + repeat % 8, repeat % 5 > 2), repeat % 3 == 0);
    if (repeat % 3 == 0) replay.tell(kLargest, profiler);
    ASSERT_EQ(step.block.contents(), expected);
  }
  EXPECT_EQ(profiler.events().size(), 5u * 167);
}

TEST(Replay, RefusesDryRecordingsAndSizesBeyondTheLargest) {
  Step step(1);
  StepArena arena(kDry);
  const Tensor dry = arena.allocate(DType::f32, {4});
  EXPECT_THROW(TeamReplay(step.record([&] { step.update(dry, 1); }), kLargest, cpu_stream(step.stream)),
               Error);
  TeamReplay replay(step.record([&] { hazards(step, 0); }), kLargest, cpu_stream(step.stream));
  EXPECT_THROW(replay.run_on({.tokens = 9, .seqs = 1}), InternalError);
  EXPECT_GT(replay.bytes(), replay.recording().bytes());
}

}  // namespace
}  // namespace reprise::cpu
