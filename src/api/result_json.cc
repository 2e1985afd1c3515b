#include "api/result_json.h"

#include <fmt/core.h>

#include <cmath>
#include <utility>

#include "api/graph_report.h"
#include "core/error.h"
#include "core/json.h"

namespace reprise::api {
namespace {

// 9 significant digits give back the exact float. JSON has no infinity; -9999 is what OpenAI's API puts
// there.
Json exact(float value) {
  if (std::isinf(value)) return -9999.0;
  return parse_json(fmt::format("{:.9g}", value), "logprob");
}

Json logprobs_json(const std::vector<TokenLogprob>& logprobs) {
  Json list = Json::array();
  for (const TokenLogprob& token : logprobs) {
    Json top = Json::array();
    for (const RankedToken& ranked : token.top) top.push_back({ranked.token_id, exact(ranked.logprob)});
    list.push_back(
        {{"token_id", token.token_id}, {"logprob", exact(token.logprob)}, {"top", std::move(top)}});
  }
  return list;
}

}  // namespace

Json result_json(size_t index, const Result& result, const Sampling& sampling) {
  // What was produced before the error stays beside it.
  if (!result.error.empty() && result.outputs.empty()) return {{"index", index}, {"error", result.error}};
  Json outputs = Json::array();
  for (const Output& output : result.outputs) {
    Json item = {{"index", output.index},
                 {"text", output.text},
                 {"token_ids", output.token_ids},
                 {"finish_reason", output.finish_reason}};
    if (sampling.logprobs) item["logprobs"] = logprobs_json(output.logprobs);
    outputs.push_back(std::move(item));
  }
  Json line = {{"index", index}};
  if (!result.error.empty()) line["error"] = result.error;
  line["prompt_token_ids"] = result.prompt_token_ids;
  line["outputs"] = std::move(outputs);
  if (sampling.prompt_logprobs) {
    Json scores = logprobs_json(result.prompt_logprobs);
    scores.insert(scores.begin(), nullptr);  // nothing predicts the first token
    line["prompt_logprobs"] = std::move(scores);
  }
  line["metrics"] = {{"time_to_first_token_s", result.metrics.time_to_first_token_s},
                     {"decode_tokens_per_s", result.metrics.decode_tokens_per_s},
                     {"cached_tokens", result.metrics.cached_tokens},
                     {"preemptions", result.metrics.preemptions},
                     {"steps",
                      {{"replayed", result.metrics.steps_replayed},
                       {"not_replayed", counts_json(result.metrics.steps_not_replayed)}}}};
  return line;
}

}  // namespace reprise::api
