// Which sequences run in the next step, and for how many tokens: a function of values, so that thousands of
// steps are simulated in tests without a model. Continuous batching after Orca (Yu et al., OSDI 2022), paged
// as in vLLM (Kwon et al., SOSP 2023).
//
// Rules, in this order:
//  1. A sequence that needs more blocks than there are fails; nobody waits for it.
//  2. Sequences that decode run first, by arrival. One that needs a block when none is free takes those of
//  the
//     latest arrival (itself, if it is that): the victim is computed again later.
//  2. Prompts under way take what is left of the token budget, by arrival.
//  3. If nothing was preempted, waiting sequences are admitted in order while sequences, tokens and blocks
//  for all
//     their tokens known so far (prompt, and output before a preemption) last. The first that doesn't fit
//     ends admission, so nobody is overtaken, with one exception: while `max_long_partial_prefills` long
//     prompts are under way, shorter ones may pass a waiting long one.
//  4. A waiting sequence that needs more blocks than there are fails; nobody waits for it.
//  5. If all this comes to nothing while sequences exist, the first one fails: the engine never spins.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace reprise::engine {

// One sequence as the scheduler sees it.
struct SeqState {
  uint64_t id = 0;       // ascending by arrival
  int64_t tokens = 0;    // known: prompt and output; >= 1
  int64_t computed = 0;  // of these, in the KV cache; < tokens
  int64_t blocks = 0;    // held

  bool decodes() const { return computed > 0 && tokens - computed == 1; }
};

struct SchedulerState {
  std::span<const SeqState> running;  // by id
  std::span<const SeqState> waiting;  // by id; computed and blocks are 0. A prefix of the queue is enough
  int64_t free_blocks = 0;
  int64_t total_blocks = 0;
  int64_t block_size = 64;
};

struct Budget {
  int64_t max_num_seqs = 8;
  int64_t max_num_batched_tokens = 8192;
  bool enable_chunked_prefill = true;
  int64_t max_num_partial_prefills = 1;
  int64_t max_long_partial_prefills = 1;
  int64_t long_prefill_token_threshold = 81;
};

struct Scheduled {
  uint64_t id;
  int64_t tokens;      // to compute in this step, >= 1
  int64_t new_blocks;  // to allocate first
  bool admitted;       // comes from the waiting ones
};

enum class Unfit : uint8_t { blocks, tokens };  // what a failed sequence needs more of than there is

struct Failed {
  uint64_t id;
  Unfit why;
};

struct Decision {
  std::vector<Scheduled> batch;  // decodes, then prompts, each by arrival
  std::vector<uint64_t> preempted;
  std::vector<Failed> failed;

  void clear() {
    batch.clear();
    preempted.clear();
    failed.clear();
  }
};

// `decision` is overwritten; it is an argument so that its storage is reused.
void schedule(const SchedulerState& state, const Budget& budget, Decision& decision);

}  // namespace reprise::engine
