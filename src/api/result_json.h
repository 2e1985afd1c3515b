// The JSON object of one prompt's Result. `reprise generate --json` prints one on each line, and scripts rely
// on its form:
//   {"index", "prompt_token_ids", "outputs": [{"index", "text", "token_ids", "finish_reason"}], "metrics": {
//    "time_to_first_token_s", "decode_tokens_per_s", "preemptions", "steps": {"replayed", "not_replayed"}}}
// with "logprobs" in each output and "prompt_logprobs" where they were asked for: natural logarithms, printed
// with 9 significant digits, which give back the exact float; -9999 for a token that was impossible. A prompt
// that failed before it produced anything is {"index", "error"}; one that failed later has "error" beside all
// the other fields.
#pragma once

#include <cstddef>

#include "core/json_fwd.h"
#include "reprise/reprise.h"

namespace reprise::api {

// `index`: place of the prompt among those of the run, from 0. `sampling`: the prompt's; used only to see
// whether log-probabilities were asked for. Throws nothing but std::bad_alloc; safe from many threads.
Json result_json(size_t index, const Result& result, const Sampling& sampling);

}  // namespace reprise::api
