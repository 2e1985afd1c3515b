// Checks of a request's fields that need no model and cost next to nothing, before any text work and before
// memory is taken. Ranges of numbers are those of engine::SamplingParams; limits of text are here.
#pragma once

#include <cstddef>

#include "engine/scheduling/sampling_params.h"
#include "reprise/reprise.h"

namespace reprise::api {

inline constexpr size_t kMaxStopStrings = 128;
inline constexpr size_t kMaxStopBytes = size_t{64} << 10;  // of all stop strings together
// Each word becomes up to two of the engine's sequences: alone and after a blank.
inline constexpr size_t kMaxBadWords = engine::SamplingParams::kMaxBadWords / 2;
inline constexpr size_t kMaxBadWordBytes = size_t{64} << 10;  // of all words together
inline constexpr size_t kMaxBadWordIds = size_t{64} << 10;    // of all bad_words_token_ids together
inline constexpr size_t kMaxPromptBytes = size_t{16} << 20;  // of a prompt's text, or of its messages as JSON
inline constexpr size_t kMaxMessages = 8192;

// The fields that the engine knows; bad_words, which are text, are left out.
engine::SamplingParams engine_sampling(const Sampling& sampling);

// Throws Error "[sampling] FIELD is VALUE, expected RANGE; ..." on the first field out of range. Token ids
// and log-probabilities are checked against the model only where it is known: `vocab_size`, `max_logprobs`.
void check_sampling(const Sampling& sampling);
void check_sampling(const Sampling& sampling, int64_t vocab_size, int32_t max_logprobs);

// Throws Error where the prompt has more text or messages than the limits above.
void check_prompt_size(const Prompt& prompt);

}  // namespace reprise::api
