// Which sequences run in the next step, and for how many tokens each. A pure function of values: tests
// simulate thousands of steps without a model. Continuous batching after Orca (Yu et al., OSDI 2022), paged
// KV cache as in vLLM (Kwon et al., SOSP 2023).
//
// Rules, in this order ("urgency" is the order of priorities, smaller ones first, and of arrival where these are
// equal; the scheduler sees it as the order of its lists):
//
//  1. Sequences that decode run first, by urgency, one token each. One that needs a KV block when none is
//     free takes all blocks of the least urgent (its own, if it is that one). That sequence is preempted:
//     it waits again and is computed again later. If it needs more blocks than the cache has, it is reported
//     as failed.
//
//  2. Prompts that are partly computed take what is left of the step's token budget, by urgency. Beside sequences
//     that decode, prompts take no more than `max_prefill_tokens` in all, those of rule 3 included.
//
//  3. If nothing was preempted, waiting sequences are admitted by urgency while the limits on sequences and
//     tokens and the free blocks allow; nobody who runs is preempted for them. A sequence gets blocks for all
//     its known tokens (prompt, and output from before a preemption), less those of the prefix cache that it
//     shares. The first one that does not fit ends admission, so nobody is overtaken,
//     with one exception: while `max_long_partial_prefills` long prompts are partly computed, shorter
//     prompts may pass a waiting long one. A waiting sequence that needs more blocks than the cache has is
//     reported as failed.
//
//  Held sequences run in no step. Whoever needs blocks, to go on or to be admitted, takes those of held ones before
//  anybody else is preempted.
//
//  4. If nothing runs, was preempted or failed although sequences exist, the first sequence is reported as
//     failed, so that the engine never loops without progress.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace reprise::engine {

// One sequence as the scheduler sees it.
struct SeqState {
  uint64_t id = 0;
  int64_t tokens = 0;    // known: prompt and output; >= 1
  int64_t computed = 0;  // of these, in the KV cache; < tokens. Of a waiting one: what it would share
  int64_t blocks = 0;    // held. Of a waiting one: cached blocks that it would share
  // Of these, those that nobody else holds: what becomes free when it is preempted. Of a waiting one: what is free
  // until it shares them.
  int64_t unshared = 0;

  bool decodes() const { return computed > 0 && tokens - computed == 1; }
};

struct SchedulerState {
  std::span<const SeqState> running;  // by urgency
  // By urgency. A prefix of the queue is enough.
  std::span<const SeqState> waiting;
  // Those that have blocks, the least urgent first. As many as can run are enough.
  std::span<const SeqState> held = {};
  int64_t free_blocks = 0;
  int64_t total_blocks = 0;
  int64_t block_size = 64;
};

struct Budget {
  int64_t max_num_seqs = 8;
  int64_t max_num_batched_tokens = 8192;
  int64_t max_prefill_tokens = INT64_MAX;  // beside decodes; only where prompts are chunked
  bool enable_chunked_prefill = true;
  int64_t max_num_partial_prefills = 1;
  int64_t max_long_partial_prefills = 1;
  int64_t long_prefill_token_threshold = 81;
};

struct Scheduled {
  uint64_t id;
  int64_t tokens;             // to compute in this step, >= 1
  int64_t new_blocks;         // to allocate first
  bool admitted;              // comes from the waiting ones
  int64_t cached_blocks = 0;  // to share before that, of an admitted one
};

enum class Unfit : uint8_t { blocks, tokens };  // what a failed sequence needs more of than there is

struct Failed {
  uint64_t id;
  Unfit why;
};

struct Decision {
  std::vector<Scheduled> batch;  // decodes, then prompts, each by urgency
  std::vector<uint64_t> preempted;
  std::vector<Failed> failed;

  void clear() {
    batch.clear();
    preempted.clear();
    failed.clear();
  }
};

// Overwrites `decision`, whose storage is reused. Reads nothing else and allocates only to grow `decision`.
void schedule(const SchedulerState& state, const Budget& budget, Decision& decision);

}  // namespace reprise::engine
