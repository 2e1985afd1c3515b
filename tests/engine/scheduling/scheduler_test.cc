// The scheduler without a model: single decisions, and thousands of simulated steps under random loads.
#include "engine/scheduling/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "engine/kv/kv_blocks.h"
#include "engine/scheduling/prefill_pace.h"

namespace reprise::engine {
namespace {

std::vector<uint64_t> ids(const Decision& decision) {
  std::vector<uint64_t> out;
  for (const Scheduled& s : decision.batch) out.push_back(s.id);
  return out;
}

Decision decide(const SchedulerState& state, const Budget& budget) {
  Decision decision;
  schedule(state, budget, decision);
  return decision;
}

TEST(Scheduler, AdmitsInOrderUntilSequencesTokensOrBlocksRunOut) {
  const std::vector<SeqState> waiting = {{0, 10, 0, 0}, {1, 10, 0, 0}, {2, 10, 0, 0}};
  SchedulerState state{
      .running = {}, .waiting = waiting, .free_blocks = 8, .total_blocks = 8, .block_size = 16};
  EXPECT_EQ(ids(decide(state, {.max_num_seqs = 2})), (std::vector<uint64_t>{0, 1}));
  const Decision by_tokens = decide(state, {.max_num_batched_tokens = 15});
  ASSERT_EQ(ids(by_tokens), (std::vector<uint64_t>{0, 1}));
  EXPECT_EQ(by_tokens.batch[1].tokens, 5) << "the second prompt is cut at the budget";
  EXPECT_EQ(by_tokens.batch[1].new_blocks, 1);
  state.free_blocks = 2;
  EXPECT_EQ(ids(decide(state, {})), (std::vector<uint64_t>{0, 1}));
}

TEST(Scheduler, WithoutChunksAPromptWaitsForAStepThatHoldsItWhole) {
  const std::vector<SeqState> waiting = {{0, 10, 0, 0}, {1, 10, 0, 0}};
  const SchedulerState state{
      .running = {}, .waiting = waiting, .free_blocks = 8, .total_blocks = 8, .block_size = 16};
  EXPECT_EQ(ids(decide(state, {.max_num_batched_tokens = 15, .enable_chunked_prefill = false})),
            (std::vector<uint64_t>{0}));
}

TEST(Scheduler, DecodesComeBeforePrompts) {
  const std::vector<SeqState> running = {{0, 100, 40, 7, 7}, {1, 21, 20, 2, 2}};
  const SchedulerState state{
      .running = running, .waiting = {}, .free_blocks = 8, .total_blocks = 20, .block_size = 16};
  const Decision decision = decide(state, {.max_num_batched_tokens = 31});
  ASSERT_EQ(ids(decision), (std::vector<uint64_t>{1, 0}));
  EXPECT_EQ(decision.batch[0].tokens, 1);
  EXPECT_EQ(decision.batch[1].tokens, 30);
}

TEST(Scheduler, TheLatestArrivalGivesItsBlocks) {
  const std::vector<SeqState> running = {{0, 17, 16, 1, 1}, {1, 17, 16, 1, 1}, {2, 20, 19, 2, 2}};
  const std::vector<SeqState> waiting = {{3, 4, 0, 0}};
  const SchedulerState state{
      .running = running, .waiting = waiting, .free_blocks = 0, .total_blocks = 4, .block_size = 16};
  const Decision decision = decide(state, {});
  EXPECT_EQ(decision.preempted, (std::vector<uint64_t>{2}));
  EXPECT_EQ(ids(decision), (std::vector<uint64_t>{0, 1})) << "nobody is admitted in a step that preempts";
}

// The scheduler sees urgency as the order of its lists alone.
TEST(Scheduler, ALateButUrgentOneGoesFirst) {
  const std::vector<SeqState> running = {{7, 17, 16, 1, 1}, {2, 17, 16, 1, 1}, {5, 20, 19, 2, 2}};
  const std::vector<SeqState> waiting = {{9, 10, 0, 0}, {3, 10, 0, 0}};
  SchedulerState state{
      .running = running, .waiting = waiting, .free_blocks = 0, .total_blocks = 4, .block_size = 16};
  const Decision tight = decide(state, {});
  EXPECT_EQ(tight.preempted, (std::vector<uint64_t>{5}));
  EXPECT_EQ(ids(tight), (std::vector<uint64_t>{7, 2}));
  state.running = {};
  state.free_blocks = 4;
  EXPECT_EQ(ids(decide(state, {.max_num_seqs = 1})), (std::vector<uint64_t>{9}));
}

TEST(Scheduler, HeldOnesGiveTheirBlocksFirst) {
  const std::vector<SeqState> running = {{0, 17, 16, 1, 1}, {1, 17, 16, 1, 1}};
  const std::vector<SeqState> held = {{9, 40, 39, 3, 3}, {3, 17, 16, 2, 2}};
  const std::vector<SeqState> waiting = {{4, 30, 0, 0}};
  SchedulerState state{.running = running,
                       .waiting = waiting,
                       .held = held,
                       .free_blocks = 0,
                       .total_blocks = 7,
                       .block_size = 16};
  const Decision decision = decide(state, {});
  EXPECT_EQ(decision.preempted, (std::vector<uint64_t>{9, 3}));
  EXPECT_EQ(ids(decision), (std::vector<uint64_t>{0, 1, 4})) << "nobody who runs was preempted";
  const std::vector<SeqState> large = {{5, 100, 0, 0}};
  state.waiting = large;
  const Decision in_vain = decide(state, {});
  EXPECT_EQ(in_vain.preempted, (std::vector<uint64_t>{9})) << "the others' blocks would not be enough for 5";
  EXPECT_EQ(ids(in_vain), (std::vector<uint64_t>{0, 1}));
  state.running = {};
  EXPECT_EQ(decide(state, {}).preempted, (std::vector<uint64_t>{9, 3}));
}

TEST(Scheduler, WhatCanNeverFitFailsAlone) {
  const std::vector<SeqState> waiting = {{0, 65, 0, 0}, {1, 10, 0, 0}};
  const SchedulerState state{
      .running = {}, .waiting = waiting, .free_blocks = 4, .total_blocks = 4, .block_size = 16};
  const Decision decision = decide(state, {});
  ASSERT_EQ(decision.failed.size(), 1u);
  EXPECT_EQ(decision.failed[0].id, 0u);
  EXPECT_EQ(decision.failed[0].why, Unfit::blocks);
  EXPECT_EQ(ids(decision), (std::vector<uint64_t>{1}));
}

TEST(Scheduler, ALongPromptThatNoStepHoldsFailsInsteadOfSpinning) {
  const std::vector<SeqState> waiting = {{0, 40, 0, 0}};
  const SchedulerState state{
      .running = {}, .waiting = waiting, .free_blocks = 4, .total_blocks = 4, .block_size = 16};
  const Decision decision = decide(state, {.max_num_batched_tokens = 32, .enable_chunked_prefill = false});
  ASSERT_EQ(decision.failed.size(), 1u);
  EXPECT_EQ(decision.failed[0].why, Unfit::tokens);
}

TEST(Scheduler, ShortPromptsPassALongOneOnlyWhileLongOnesAreUnderWay) {
  const std::vector<SeqState> running = {{0, 500, 64, 32, 32}};
  const std::vector<SeqState> waiting = {{1, 500, 0, 0}, {2, 20, 0, 0}};
  const SchedulerState state{
      .running = running, .waiting = waiting, .free_blocks = 100, .total_blocks = 132, .block_size = 16};
  const Budget budget{.max_num_batched_tokens = 128,
                      .max_num_partial_prefills = 2,
                      .max_long_partial_prefills = 1,
                      .long_prefill_token_threshold = 100};
  const Decision decision = decide(state, budget);
  ASSERT_EQ(ids(decision), (std::vector<uint64_t>{0, 2}));
  EXPECT_EQ(decision.batch[0].tokens, 64) << "a long prompt leaves a share of the step to others";
  EXPECT_EQ(decision.batch[1].tokens, 20);
}

TEST(Scheduler, WhatIsCachedNeedsNeitherBlocksNorTokens) {
  // Three of the four cached blocks are free until it takes them, one is another sequence's.
  const std::vector<SeqState> waiting = {{.id = 0, .tokens = 70, .computed = 64, .blocks = 4, .unshared = 3}};
  SchedulerState state{
      .running = {}, .waiting = waiting, .free_blocks = 4, .total_blocks = 5, .block_size = 16};
  const Decision decision = decide(state, {.max_num_batched_tokens = 6});
  ASSERT_EQ(ids(decision), (std::vector<uint64_t>{0}));
  EXPECT_EQ(decision.batch[0].tokens, 6);
  EXPECT_EQ(decision.batch[0].new_blocks, 1);
  EXPECT_EQ(decision.batch[0].cached_blocks, 4);
  state.free_blocks = 3;
  EXPECT_EQ(decide(state, {.max_num_batched_tokens = 6}).failed.size(), 1u)
      << "nothing runs whose end would help";
}

TEST(Scheduler, PromptsAreCutBesideDecodesAlone) {
  const std::vector<SeqState> running = {{0, 20, 19, 2, 2}, {1, 100, 40, 7, 7}};
  const std::vector<SeqState> waiting = {{2, 30, 0, 0, 0}};
  SchedulerState state{
      .running = running, .waiting = waiting, .free_blocks = 50, .total_blocks = 60, .block_size = 16};
  Budget budget{.max_prefill_tokens = 10, .max_num_partial_prefills = 4};
  const Decision beside = decide(state, budget);
  ASSERT_EQ(ids(beside), (std::vector<uint64_t>{0, 1}));
  EXPECT_EQ(beside.batch[1].tokens, 10);
  budget.max_prefill_tokens = 65;
  const Decision more = decide(state, budget);
  ASSERT_EQ(ids(more), (std::vector<uint64_t>{0, 1, 2}));
  EXPECT_EQ(more.batch[1].tokens, 60);
  EXPECT_EQ(more.batch[2].tokens, 5);
  state.running = std::span(running).subspan(1);
  EXPECT_EQ(decide(state, {.max_prefill_tokens = 10}).batch[0].tokens, 60) << "nobody decodes";
  state.running = running;
  EXPECT_EQ(decide(state, {.max_prefill_tokens = 10, .enable_chunked_prefill = false}).batch[1].tokens, 60);
}

TEST(PrefillPace, CutsPromptsToWhatFitsIntoTheTarget) {
  EXPECT_EQ(PrefillPace(0).most_prefill_tokens(), INT64_MAX);
  PrefillPace pace(0.1);
  EXPECT_EQ(pace.most_prefill_tokens(), PrefillPace::kLeastTokens) << "nothing is known yet";
  for (int i = 0; i < 50; ++i) {
    pace.add(8, 0, 0.02);
    pace.add(8, 100, 0.12);
    pace.add(0, 512, 10);  // nobody waits for its next token
  }
  EXPECT_NEAR(static_cast<double>(pace.most_prefill_tokens()), 80, 2);
  for (int i = 0; i < 50; ++i) pace.add(8, 100, 0.03);
  EXPECT_GT(pace.most_prefill_tokens(), 700);
  const auto many = static_cast<double>(pace.most_prefill_tokens());
  for (int i = 0; i < 50; ++i) pace.add(64, 0, 0.3);
  EXPECT_NEAR(static_cast<double>(pace.most_prefill_tokens()), many * 0.15 / 0.08, many * 0.02)
      << "decoding alone takes longer than the target: prompts get a third of the time";
}

// A cached block that only a held sequence uses is free once that sequence has given up its own, and needed again.
TEST(Scheduler, WhatHeldOnesGiveUpIsNotCountedTwice) {
  const std::vector<SeqState> running = {{0, 20, 19, 2, 2}};
  const std::vector<SeqState> held = {{1, 40, 39, 3, 3}};
  const std::vector<SeqState> waiting = {{.id = 2, .tokens = 70, .computed = 32, .blocks = 2, .unshared = 0}};
  SchedulerState state{.running = running,
                       .waiting = waiting,
                       .held = held,
                       .free_blocks = 1,
                       .total_blocks = 6,
                       .block_size = 16};
  const Decision decision = decide(state, {});
  EXPECT_EQ(ids(decision), (std::vector<uint64_t>{0})) << "3 + 2 blocks are needed, 4 would be free";
  state.free_blocks = 2;
  state.total_blocks = 7;
  const Decision fits = decide(state, {});
  EXPECT_EQ(fits.preempted, (std::vector<uint64_t>{1}));
  EXPECT_EQ(ids(fits), (std::vector<uint64_t>{0, 2}));
}

TEST(Scheduler, WhoSharesAllItsBlocksFreesNone) {
  const std::vector<SeqState> running = {{0, 17, 16, 1, 1}, {1, 40, 39, 3, 1}, {2, 20, 19, 2, 0}};
  const SchedulerState state{
      .running = running, .waiting = {}, .free_blocks = 0, .total_blocks = 6, .block_size = 16};
  EXPECT_EQ(decide(state, {}).preempted, (std::vector<uint64_t>{2, 1}));
}

// A load of random sequences against a pool of blocks; every rule of the contract is checked at every step.
class Simulation {
 public:
  Simulation(uint32_t seed, const Budget& budget, int64_t blocks, int64_t block_size)
      : random_(seed), budget_(budget), pool_(blocks), block_size_(block_size) {}

  void add(int64_t prompt, int64_t output, int priority) {
    const uint64_t id = next_id_++;
    seqs_[id] = {.prompt = prompt, .want = prompt + output, .tokens = prompt, .priority = priority};
    insert(waiting_, id);
  }

  void step() {
    std::vector<SeqState> running, waiting;
    for (uint64_t id : running_) running.push_back(view(id));
    for (size_t i = 0; i < std::min(waiting_.size(), window_); ++i) waiting.push_back(view(waiting_[i]));
    const SchedulerState state{.running = running,
                               .waiting = waiting,
                               .free_blocks = pool_.free(),
                               .total_blocks = pool_.total(),
                               .block_size = block_size_};
    Decision decision;
    schedule(state, budget_, decision);
    Decision again;
    schedule(state, budget_, again);
    ASSERT_EQ(ids(decision), ids(again)) << "a function of values";
    ASSERT_TRUE(!decision.batch.empty() || !decision.preempted.empty() || !decision.failed.empty())
        << "a step without progress while " << running_.size() << " run and " << waiting_.size() << " wait";
    for (uint64_t id : decision.preempted) {
      ASSERT_TRUE(std::find(running_.begin(), running_.end(), id) != running_.end());
      ASSERT_EQ(id, running_.back()) << "only the least urgent is preempted";
      drop(id);
      seqs_[id].computed = 0;
      insert(waiting_, id);
    }
    for (const Failed& failed : decision.failed) {
      const Seq& seq = seqs_[failed.id];
      if (failed.why == Unfit::blocks) {
        ASSERT_GT((seq.tokens + block_size_ - 1) / block_size_, pool_.total());
      }
      std::erase(waiting_, failed.id);
      if (std::find(running_.begin(), running_.end(), failed.id) != running_.end()) drop(failed.id);
      seqs_.erase(failed.id);
      ++failed_count;
    }
    int64_t tokens = 0, partial = 0;
    for (const Scheduled& s : decision.batch) {
      Seq& seq = seqs_.at(s.id);
      tokens += s.tokens;
      ASSERT_GE(s.tokens, 1);
      ASSERT_LE(seq.computed + s.tokens, seq.tokens);
      if (s.admitted) {
        std::erase(waiting_, s.id);
        insert(running_, s.id);
      }
      pool_.allocate(s.new_blocks, seq.blocks);
      ASSERT_GE(static_cast<int64_t>(seq.blocks.size()) * block_size_, seq.computed + s.tokens);
      if (!budget_.enable_chunked_prefill) {
        ASSERT_EQ(seq.computed + s.tokens, seq.tokens);
      }
    }
    ASSERT_LE(tokens, budget_.max_num_batched_tokens);
    ASSERT_LE(static_cast<int64_t>(running_.size()), budget_.max_num_seqs);
    for (const Scheduled& s : decision.batch) {
      Seq& seq = seqs_.at(s.id);
      seq.computed += s.tokens;
      if (seq.computed < seq.tokens) {
        ++partial;
        continue;
      }
      if (++seq.tokens < seq.want) continue;
      drop(s.id);
      seqs_.erase(s.id);
      ++finished_count;
    }
    ASSERT_LE(partial, budget_.max_num_partial_prefills);
    int64_t held = 0;
    for (const auto& [id, seq] : seqs_) held += static_cast<int64_t>(seq.blocks.size());
    ASSERT_EQ(held + pool_.free(), pool_.total()) << "a block leaked";
  }

  bool idle() const { return running_.empty() && waiting_.empty(); }
  size_t alive() const { return seqs_.size(); }
  std::mt19937& random() { return random_; }
  int64_t finished_count = 0, failed_count = 0;

 private:
  struct Seq {
    int64_t prompt, want, tokens;
    int64_t computed = 0;
    int priority = 0;
    std::vector<BlockId> blocks = {};
  };
  SeqState view(uint64_t id) {
    const Seq& seq = seqs_.at(id);
    const auto blocks = static_cast<int64_t>(seq.blocks.size());
    return {id, seq.tokens, seq.computed, blocks, blocks};
  }
  void insert(std::vector<uint64_t>& queue, uint64_t id) {
    const auto key = [&](uint64_t each) { return std::pair(seqs_.at(each).priority, each); };
    queue.insert(std::ranges::lower_bound(queue, key(id), {}, key), id);
  }
  void drop(uint64_t id) {
    pool_.release(seqs_.at(id).blocks);
    seqs_.at(id).blocks.clear();
    std::erase(running_, id);
  }

  std::mt19937 random_;
  Budget budget_;
  BlockPool pool_;
  int64_t block_size_;
  size_t window_ = 16;
  uint64_t next_id_ = 0;
  std::map<uint64_t, Seq> seqs_;
  std::vector<uint64_t> running_, waiting_;  // both by urgency
};

struct Load {
  Budget budget;
  int64_t blocks;
  int64_t longest_prompt;
  int priorities = 1;
};

class SchedulerSimulation : public testing::TestWithParam<Load> {};

TEST_P(SchedulerSimulation, EveryRequestEndsAndNothingLeaks) {
  const Load& load = GetParam();
  for (uint32_t seed = 0; seed < 20; ++seed) {
    Simulation simulation(seed, load.budget, load.blocks, 16);
    const auto upto = [&](int64_t most) {
      return std::uniform_int_distribution<int64_t>(1, most)(simulation.random());
    };
    int64_t added = 0, steps = 0;
    while (added < 60 || !simulation.idle()) {
      if (added < 60 && (simulation.idle() || upto(4) == 1)) {
        simulation.add(upto(load.longest_prompt), upto(60), static_cast<int>(upto(load.priorities)));
        ++added;
      }
      ASSERT_NO_FATAL_FAILURE(simulation.step()) << "seed " << seed << " step " << steps;
      ASSERT_LT(++steps, 60000) << "seed " << seed << " does not end";
    }
    EXPECT_EQ(simulation.finished_count + simulation.failed_count, added);
    EXPECT_EQ(simulation.alive(), 0u);
    if ((load.longest_prompt + 60) / 16 < load.blocks) {
      EXPECT_EQ(simulation.failed_count, 0);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Loads, SchedulerSimulation,
    testing::Values(
        Load{{.max_num_seqs = 8, .max_num_batched_tokens = 64}, 400, 200},  // plenty of blocks
        Load{{.max_num_seqs = 8, .max_num_batched_tokens = 64}, 20, 200},   // preempts often
        Load{{.max_num_seqs = 16, .max_num_batched_tokens = 16}, 30, 100},  // tokens are scarce
        Load{{.max_num_seqs = 8, .max_num_batched_tokens = 64}, 8, 200},    // some never fit
        Load{{.max_num_seqs = 1, .max_num_batched_tokens = 1}, 40, 30},     // the smallest engine
        Load{{.max_num_seqs = 8, .max_num_batched_tokens = 300, .enable_chunked_prefill = false}, 24, 200},
        Load{{.max_num_seqs = 8,
              .max_num_batched_tokens = 64,
              .max_num_partial_prefills = 3,
              .max_long_partial_prefills = 2,
              .long_prefill_token_threshold = 50},
             24,
             200},
        Load{{.max_num_seqs = 8, .max_num_batched_tokens = 64}, 20, 200, 3},
        Load{{.max_num_seqs = 8, .max_num_batched_tokens = 64}, 8, 200, 50},
        Load{{.max_num_seqs = 8,
              .max_num_batched_tokens = 64,
              .max_num_partial_prefills = 3,
              .max_long_partial_prefills = 2,
              .long_prefill_token_threshold = 50},
             24,
             200,
             3}));

}  // namespace
}  // namespace reprise::engine
