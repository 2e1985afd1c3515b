// Thousands of steps of scheduler, table of requests and prefix cache without a model: a block "holds" the tokens whose
// keys and values a step would have written there, and what a sequence would read must always be its own beginning.
#include <gtest/gtest.h>

#include <algorithm>
#include <ostream>
#include <random>

#include "engine/scheduling/request_table.h"
#include "engine/scheduling/schedule_view.h"

namespace reprise::engine {
namespace {

constexpr int64_t kBlockSize = 4, kMaxLen = 120;

struct Load {
  int64_t blocks;
  int64_t max_num_seqs = 6;
  int64_t max_num_batched_tokens = 16;
  int64_t max_num_partial_prefills = 1;
  bool caching = true;
};

void PrintTo(const Load& load, std::ostream* out) {
  *out << load.blocks << " blocks, " << load.max_num_seqs << " sequences";
}

class Simulation {
 public:
  Simulation(uint32_t seed, const Load& load)
      : random_(seed),
        load_(load),
        table_(load.blocks, load.max_num_seqs, load.caching ? kBlockSize : 0),
        view_(load.max_num_seqs, kBlockSize),
        contents_(static_cast<size_t>(load.blocks) + 1, std::vector<int32_t>(kBlockSize, -1)) {}

  int64_t below(int64_t most) { return static_cast<int64_t>(random_() % static_cast<uint64_t>(most)); }

  // A beginning that many share, then tokens of its own.
  void add() {
    auto state = std::make_unique<RequestState>();
    state->id = next_id_++;
    Request& request = state->request;
    const int64_t family = below(3), shared = below(40), own = 1 + below(20);
    for (int64_t i = 0; i < shared; ++i)
      request.prompt_token_ids.push_back(static_cast<int32_t>((family * 7 + i * i) % 50));
    for (int64_t i = 0; i < own; ++i) request.prompt_token_ids.push_back(static_cast<int32_t>(below(3)));
    request.sampling.max_tokens = static_cast<int32_t>(1 + below(30));
    if (below(4) == 0) request.cache_salt = "salt";
    request.priority = static_cast<int32_t>(below(3));
    if (below(6) == 0) request.sampling.prompt_logprobs = 0;
    const int outputs = below(3) == 0 ? 3 : 1;
    state->unfinished = outputs;
    for (int output = 0; output < outputs; ++output)
      state->outputs.push_back(make_sequence(*state, output, kMaxLen, 0));
    table_.add(std::move(state));
  }

  void abort_one() {
    if (table_.requests().empty()) return;
    auto victim = table_.requests().begin();
    std::advance(victim, below(static_cast<int64_t>(table_.requests().size())));
    for (const auto& output : victim->second->outputs)
      if (output != nullptr) {
        table_.remove(*output);
        return;
      }
  }

  // As for clients that read slowly, now and then.
  void hold_or_let_go() {
    for (const auto& [id, request] : table_.requests())
      for (const auto& output : request->outputs) {
        if (output == nullptr || below(4) != 0) continue;
        if (output->held)
          preemptions += table_.let_go(*output) ? 1 : 0;
        else
          table_.hold(*output);
      }
  }
  void let_all_go() {
    for (const auto& [id, request] : table_.requests())
      for (const auto& output : request->outputs)
        if (output != nullptr) table_.let_go(*output);
  }

  void forget() {
    table_.forget_cached();
    EXPECT_EQ(table_.pool().cached(), 0);
  }

  void step() {
    if (table_.running().empty() && table_.waiting().empty()) return;
    Decision decision;
    const Budget budget{.max_num_seqs = load_.max_num_seqs,
                        .max_num_batched_tokens = load_.max_num_batched_tokens,
                        .max_num_partial_prefills = load_.max_num_partial_prefills};
    schedule(view_.look(table_), budget, decision);
    ASSERT_TRUE(!decision.batch.empty() || !decision.preempted.empty() || !decision.failed.empty());
    for (const uint64_t id : decision.preempted) table_.preempt(table_.sequence(id));
    preemptions += static_cast<int64_t>(decision.preempted.size());
    for (const Failed& failed : decision.failed) table_.remove(table_.sequence(failed.id));
    for (const Scheduled& scheduled : decision.batch)
      if (scheduled.admitted) {
        Sequence& sequence = table_.sequence(scheduled.id);
        table_.share_prefix(sequence, scheduled.cached_blocks);
        hits += scheduled.cached_blocks;
        ASSERT_TRUE(!sequence.wants_prompt_scores() || scheduled.cached_blocks == 0);
      }
    for (const Scheduled& scheduled : decision.batch) {
      Sequence& sequence = table_.sequence(scheduled.id);
      table_.allocate_for(sequence, scheduled.new_blocks);
      if (scheduled.admitted) table_.admit(sequence);
    }
    for (const Scheduled& scheduled : decision.batch) {
      ASSERT_NO_FATAL_FAILURE(compute(table_.sequence(scheduled.id), scheduled.tokens));
    }
    ASSERT_NO_FATAL_FAILURE(count_blocks());
  }

  bool idle() const { return table_.requests().empty(); }
  int64_t hits = 0, preemptions = 0, finished = 0;

 private:
  int32_t& place(const Sequence& sequence, int64_t position) {
    return contents_[static_cast<size_t>(sequence.blocks.at(static_cast<size_t>(position / kBlockSize)))]
                    [static_cast<size_t>(position % kBlockSize)];
  }

  void compute(Sequence& sequence, int64_t tokens) {
    ASSERT_LT(sequence.computed, sequence.length());
    for (int64_t i = 0; i < tokens; ++i)
      place(sequence, sequence.computed + i) = sequence.tokens[static_cast<size_t>(sequence.computed + i)];
    sequence.computed += tokens;
    // What its attention reads.
    for (int64_t i = 0; i < sequence.computed; ++i)
      ASSERT_EQ(place(sequence, i), sequence.tokens[static_cast<size_t>(i)])
          << "position " << i << " of sequence " << sequence.id;
    if (sequence.wants_prompt_scores())
      sequence.prompt_scored = std::min(sequence.computed, sequence.prompt_length - 1);
    table_.cache_filled(sequence);
    if (sequence.computed < sequence.length()) return;
    // The same beginnings go on alike, so outputs are found again too.
    if (sequence.length() < sequence.max_length) sequence.append((sequence.tokens.back() * 5 + 1) % 50, {});
    if (sequence.ending({}) == FinishReason::none) return;
    table_.remove(sequence);
    ++finished;
  }

  // Every block is either referred to, by as many as the pool says, or free.
  void count_blocks() {
    std::vector<int32_t> references(contents_.size());
    for (const auto& [id, request] : table_.requests())
      for (const auto& output : request->outputs)
        if (output != nullptr)
          for (const BlockId block : output->blocks) ++references[static_cast<size_t>(block)];
    int64_t used = 0;
    for (size_t block = 1; block < references.size(); ++block) {
      ASSERT_EQ(table_.pool().references(static_cast<BlockId>(block)), references[block]) << block;
      used += references[block] > 0 ? 1 : 0;
    }
    ASSERT_EQ(used + table_.pool().free(), table_.pool().total());
  }

  std::mt19937 random_;
  Load load_;
  RequestTable table_;
  ScheduleView view_;
  std::vector<std::vector<int32_t>> contents_;
  RequestId next_id_ = 0;
};

class PrefixSimulation : public testing::TestWithParam<Load> {};

TEST_P(PrefixSimulation, WhatASequenceReadsIsItsOwnBeginning) {
  int64_t hits = 0, preemptions = 0;
  for (uint32_t seed = 0; seed < 30; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Simulation simulation(seed, GetParam());
    int added = 0;
    for (int64_t steps = 0; added < 80 || !simulation.idle(); ++steps) {
      if (added < 80 && (simulation.idle() || simulation.below(3) == 0)) {
        simulation.add();
        ++added;
      }
      if (simulation.below(40) == 0) simulation.abort_one();
      if (simulation.below(200) == 0) simulation.forget();
      if (simulation.below(20) == 0) simulation.hold_or_let_go();
      if (simulation.below(60) == 0) simulation.let_all_go();
      ASSERT_NO_FATAL_FAILURE(simulation.step());
      ASSERT_LT(steps, 100000) << "it does not end";
    }
    EXPECT_GT(simulation.finished, 0);
    hits += simulation.hits;
    preemptions += simulation.preemptions;
  }
  EXPECT_EQ(hits > 0, GetParam().caching);
  if (GetParam().blocks < 60) {
    EXPECT_GT(preemptions, 0) << "this load is meant to preempt";
  }
}

INSTANTIATE_TEST_SUITE_P(Loads, PrefixSimulation,
                         testing::Values(Load{.blocks = 2000},  // all of it stays cached
                                         Load{.blocks = 150},   // evicts
                                         Load{.blocks = 40},    // evicts and preempts
                                         Load{.blocks = 40, .caching = false},
                                         Load{.blocks = 50,
                                              .max_num_seqs = 12,
                                              .max_num_batched_tokens = 64,
                                              .max_num_partial_prefills = 4},
                                         Load{.blocks = 31, .max_num_seqs = 2, .max_num_batched_tokens = 3}));

// As many as a step could admit are seen, and those that wait for the first output of their request don't hide others.
TEST(ScheduleView, SeesAsManyAsAStepCouldAdmit) {
  constexpr int64_t kSeqs = 300, kRequests = 700;
  RequestTable table(1000, kSeqs, kBlockSize);
  for (RequestId id = 0; id < kRequests; ++id) {
    auto state = std::make_unique<RequestState>();
    state->id = id;
    state->request.prompt_token_ids.assign(10, 1);
    const int outputs = id == 0 ? 100 : 1;
    state->unfinished = outputs;
    for (int output = 0; output < outputs; ++output)
      state->outputs.push_back(make_sequence(*state, output, kMaxLen, 0));
    table.add(std::move(state));
  }
  ScheduleView view(kSeqs, kBlockSize);
  const SchedulerState state = view.look(table);
  ASSERT_EQ(state.waiting.size(), 2U * kSeqs);
  EXPECT_EQ(state.waiting[1].id, 1U * SamplingParams::kMaxOutputs)
      << "99 outputs of request 0 are passed over";
  Decision decision;
  schedule(state, {.max_num_seqs = kSeqs, .max_num_batched_tokens = 8192}, decision);
  EXPECT_EQ(decision.batch.size(), size_t{kSeqs});
}

}  // namespace
}  // namespace reprise::engine
