// One output of a request, from its arrival to its last event: tokens, KV blocks, random stream, times.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <unordered_map>
#include <vector>

#include "core/sample_row.h"
#include "engine/kv/kv_blocks.h"
#include "engine/scheduling/request.h"
#include "engine/scheduling/scheduler.h"

namespace reprise::engine {

using Clock = std::chrono::steady_clock;

struct Sequence;

struct MoreUrgent {
  bool operator()(const Sequence* a, const Sequence* b) const;
};
// Changes of an element's place move its node, so that they neither allocate nor fail.
using SequenceQueue = std::set<Sequence*, MoreUrgent>;

// A request and its outputs that are not finished.
struct RequestState {
  RequestId id = 0;
  Request request;
  Clock::time_point arrival{};
  std::vector<std::unique_ptr<Sequence>> outputs;  // by output index; null: finished
  int32_t unfinished = 0;
  bool begun = false;      // one of its outputs was admitted
  bool abandoned = false;  // its sink threw: no more events, removed at the end of the step (RequestTable)
  RequestState* next_abandoned = nullptr;
};

// What penalties need: each distinct token of prompt and output, with its count in the output.
class TokenCounts {
 public:
  void add(int32_t token, bool in_output);
  std::span<const TokenCount> entries() const { return entries_; }

 private:
  std::vector<TokenCount> entries_;
  std::unordered_map<int32_t, size_t> index_;  // token -> place in entries_
};

struct Sequence {
  uint64_t id = 0;       // ascending by arrival
  int32_t priority = 0;  // of the request
  RequestState* request = nullptr;
  int32_t output = 0;

  std::vector<int32_t> tokens;  // prompt, then output
  int64_t prompt_length = 0;
  int64_t max_length = 0;  // prompt and output; the output ends there
  int64_t computed = 0;    // tokens in the KV cache
  std::vector<BlockId> blocks;
  int64_t cached_blocks = 0;  // the first so many of `blocks` can be found in the prefix cache
  bool may_cache = true;      // further ones may be added to it
  int64_t found_tokens = 0;   // of the prompt, in the prefix cache when it was admitted first

  uint64_t seed = 0;          // the random numbers of this output: seed and stream of kernels/cpu/philox.h
  uint32_t stream = 0;        // the number of the output, and kDrawnSeed
  TokenCounts counts;         // kept only where penalties are on
  int64_t prompt_scored = 0;  // prompt tokens whose log-probabilities are known, the first aside
  std::vector<TokenScore> prompt_scores;  // not published yet
  std::string mask_failure;               // what the request's token mask threw
  int64_t nan_at = -1;                    // position whose logits gave NaN as log-probability; -1: none

  Clock::time_point scheduled{};  // first time; unset before
  Clock::time_point first_token{};
  Clock::time_point last_token{};
  int64_t preemptions = 0;
  StepCounts steps;

  // Of RequestTable.
  SequenceQueue::node_type node;  // its own while it is in no queue
  bool held = false;

  const SamplingParams& sampling() const { return request->request.sampling; }
  int64_t length() const { return static_cast<int64_t>(tokens.size()); }
  int64_t output_length() const { return length() - prompt_length; }
  bool wants_prompt_scores() const {
    return output == 0 && sampling().prompt_logprobs.has_value() && prompt_scored < prompt_length - 1;
  }

  void append(int32_t token, Clock::time_point now);
  // Why the output ends with its last token; none: it goes on.
  FinishReason ending(std::span<const int32_t> eos_token_ids) const;
  RequestMetrics metrics(Clock::time_point now, int64_t output_tokens) const;
};

inline bool MoreUrgent::operator()(const Sequence* a, const Sequence* b) const {
  return a->priority != b->priority ? a->priority < b->priority : a->id < b->id;
}

// In Sequence::stream: the request gave no seed. Output 0 lacks it, so that it is the same as with the seed
// engine_seed + request number given: that is what it has always been.
inline constexpr uint32_t kDrawnSeed = uint32_t{1} << 31;

// A sequence for output `output` of `request`, whose parameters are valid.
std::unique_ptr<Sequence> make_sequence(RequestState& request, int32_t output, int64_t max_model_len,
                                        uint64_t engine_seed);

}  // namespace reprise::engine
