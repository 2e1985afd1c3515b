#include "api/result_builder.h"

#include <algorithm>
#include <exception>
#include <iterator>
#include <utility>

#include "api/graph_report.h"

namespace reprise::api {
namespace {

void append_all(std::vector<TokenLogprob>& to, std::vector<TokenLogprob>&& from) {
  std::move(from.begin(), from.end(), std::back_inserter(to));
}

}  // namespace

ResultBuilder::ResultBuilder(std::string error) {
  result_.error = std::move(error);
}

ResultBuilder::ResultBuilder(const PreparedRequest& prepared) {
  result_.prompt_token_ids = prepared.request.prompt_token_ids;
  for (int i = 0; i < prepared.form.outputs; ++i)
    result_.outputs.push_back(
        {.index = i, .text = prepared.echo, .token_ids = {}, .finish_reason = {}, .logprobs = {}});
  assembler_.emplace(prepared);
}

OutputDelta& ResultBuilder::take(const engine::OutputEvent& event) noexcept {
  OutputDelta& delta = assembler_->take(event);
  try {
    absorb(delta);
  } catch (const std::exception&) {
    fail();
    if (!delta.finished) delta.ask = OutputDelta::Ask::abort;
  }
  return delta;
}

void ResultBuilder::fail() noexcept {
  result_.error = request_failure();
  assembler_->give_up();
}

void ResultBuilder::absorb(OutputDelta& delta) {
  Output& output = result_.outputs[static_cast<size_t>(delta.output)];
  output.token_ids.insert(output.token_ids.end(), delta.token_ids.begin(), delta.token_ids.end());
  append_all(output.logprobs, std::move(delta.logprobs));
  append_all(result_.prompt_logprobs, std::move(delta.prompt_logprobs));
  output.text += delta.text;
  if (result_.error.empty()) result_.error = delta.error;
  if (!delta.finished) return;
  output.finish_reason = delta.finish_reason;
  Metrics& metrics = result_.metrics;
  // Of several outputs, the first's times are the prompt's; steps are those of the longest.
  if (delta.output == 0) {
    metrics.time_to_first_token_s = delta.metrics.time_to_first_token_s;
    metrics.decode_tokens_per_s = delta.metrics.decode_tokens_per_s;
    metrics.steps_not_replayed = not_replayed(delta.metrics.steps);
    metrics.cached_tokens = assembler_->usage().cached_tokens;
  }
  metrics.preemptions += delta.metrics.preemptions;
  metrics.steps_replayed = std::max(metrics.steps_replayed, delta.metrics.steps.replayed);
}

// An error without anything produced before it has no outputs.
Result ResultBuilder::finish() {
  if (!result_.error.empty() && std::all_of(result_.outputs.begin(), result_.outputs.end(),
                                            [](const Output& output) { return output.token_ids.empty(); }))
    result_.outputs.clear();
  return std::move(result_);
}

}  // namespace reprise::api
