// What goes into the engine (requests of token ids) and what comes out (events with token ids). Text is
// converted by the layers above.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/scheduling/sampling_params.h"

namespace reprise::engine {

using RequestId = uint64_t;  // 0, 1, 2 ... in the order of submission

// Which tokens output `output` may go on with, after `tokens`, which it has already: clears the bits of the others in
// `allowed` (core/sample_row.h: mask_words()), where all are set. Called on the engine's thread before each choice, so
// it must not wait; perhaps twice for the same one. What it throws ends the output with that error.
using TokenMask =
    std::function<void(int32_t output, std::span<const int32_t> tokens, std::span<uint32_t> allowed)>;

struct Request {
  std::vector<int32_t> prompt_token_ids = {};
  SamplingParams sampling = {};
  // Only requests with the same one share blocks of the prefix cache, so that nobody can find out by the time to the
  // first token what others sent. At most kMaxCacheSalt bytes.
  std::string cache_salt = {};
  static constexpr size_t kMaxCacheSalt = 256;
  int32_t priority = 0;         // smaller ones are more urgent: admitted first and preempted last
  bool waits_for_ever = false;  // Engine::set_max_waiting() is not for this one
  TokenMask token_mask = {};    // empty: every token may come
};

enum class FinishReason : uint8_t {
  none,    // not finished
  stop,    // end of text, a stop id, or a stop string found by the text layer
  length,  // max_tokens or max_model_len
  abort,
  error,  // OutputEvent::error says why
};
std::string_view name_of(FinishReason reason);  // "stop", "length", "abort", "error", "" for none

// Why a step ran launch by launch instead of as a replay.
enum class NotReplayed : uint8_t {
  cudagraph_off,
  decode_not_captured,
  prefill_not_captured,
  mixed_not_captured,
  above_largest_size,
  above_max_capture_shape_prefill,
  scores_prompt,
  capture_pending,
  capture_failed,
};
inline constexpr size_t kNotReplayedReasons = 9;
std::string_view code_of(NotReplayed reason);  // "cudagraph_off": for JSON and metrics, never changed
std::string_view text_of(NotReplayed reason);  // "use_cudagraph is off": for people

// Steps by the path they took.
struct StepCounts {
  int64_t replayed = 0;
  int64_t split = 0;                                        // of these, replayed in parts
  int64_t replayed_tokens = 0;                              // that somebody asked for
  int64_t padding_tokens = 0;                               // replayed beside them
  std::array<int64_t, kNotReplayedReasons> not_replayed{};  // by NotReplayed

  StepCounts& operator+=(const StepCounts& other);
  int64_t total() const {
    int64_t sum = replayed;
    for (int64_t count : not_replayed) sum += count;
    return sum;
  }
};

struct RequestMetrics {
  double queue_s = 0;                // submission to first scheduled
  double time_to_first_token_s = 0;  // submission to first token; 0 without one
  double decode_tokens_per_s = 0;    // tokens after the first / time since the first; 0 without a second
  double total_s = 0;                // submission to finish
  int64_t prompt_tokens = 0;
  int64_t output_tokens = 0;
  int64_t preemptions = 0;
  StepCounts steps;  // that this output took part in
};

struct RankedToken {
  int32_t token_id;
  float logprob;
};

// Natural log-probability of a token under the model's own distribution (before penalties and temperature).
struct TokenScore {
  int32_t token_id = 0;
  float logprob = 0;
  std::vector<RankedToken> top = {};  // the best, descending, ties by lower id
};

// What an output of a request has produced since its previous event. An output's events come in order; the
// last one, and only it, has `finished()`.
struct OutputEvent {
  RequestId request = 0;
  int32_t output = 0;                   // 0 .. n-1
  std::vector<int32_t> token_ids = {};  // new ones; an ending stop id is among them
  std::vector<TokenScore> scores = {};  // one for each token where logprobs were asked for
  // Of prompt tokens 1, 2 ... (the first token has none): in one event of output 0, where they were asked
  // for.
  std::vector<TokenScore> prompt_scores = {};
  int64_t cached_tokens = 0;  // of the prompt, found in the prefix cache when the output was admitted
  FinishReason finish_reason = FinishReason::none;
  std::string error = {};  // one line, when finish_reason is error; a refused request has one event an output
  RequestMetrics metrics = {};  // set when finished

  bool finished() const { return finish_reason != FinishReason::none; }
};

}  // namespace reprise::engine
