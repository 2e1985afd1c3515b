#include "api/output_assembler.h"

#include <exception>
#include <utility>

#include "core/error.h"

namespace reprise::api {
namespace {

void convert(const engine::TokenScore& score, std::vector<TokenLogprob>& to) {
  TokenLogprob& logprob = to.emplace_back(TokenLogprob{score.token_id, score.logprob, {}});
  logprob.top.reserve(score.top.size());
  for (const engine::RankedToken& ranked : score.top)
    logprob.top.push_back({ranked.token_id, ranked.logprob});
}

void clear(OutputDelta& delta) {
  delta.text.clear();
  delta.token_ids.clear();
  delta.logprobs.clear();
  delta.prompt_logprobs.clear();
  delta.complete = false;
  delta.stop_string.clear();
  delta.finish_reason.clear();
  delta.finished = false;
  delta.error.clear();
  delta.ask = OutputDelta::Ask::nothing;
  delta.keep_tokens = 0;
}

}  // namespace

OutputAssembler::OutputAssembler(const PreparedRequest& prepared)
    : include_stop_(prepared.form.include_stop),
      unfinished_(static_cast<size_t>(prepared.form.outputs)),
      usage_{.prompt_tokens = static_cast<int64_t>(prepared.request.prompt_token_ids.size())} {
  const OutputForm& form = prepared.form;
  const OutputTextOptions options = {.skip_special_tokens = form.skip_special_tokens,
                                     .stop = form.stop,
                                     .include_stop = form.include_stop,
                                     .min_tokens = form.min_tokens};
  states_.reserve(unfinished_);
  for (size_t i = 0; i < unfinished_; ++i) states_.push_back({.text = OutputText(form.tokenizer, options)});
}

OutputDelta& OutputAssembler::take(const engine::OutputEvent& event) noexcept {
  State& state = states_.at(static_cast<size_t>(event.output));
  clear(delta_);
  delta_.output = event.output;
  if (event.output == 0 && event.cached_tokens > 0) usage_.cached_tokens = event.cached_tokens;
  delta_.finished = event.finished();
  if (event.finished()) {
    delta_.metrics = event.metrics;
    --unfinished_;
  }
  try {
    delta_.error = event.error;
    if (!broken_) {
      for (const engine::TokenScore& score : event.prompt_scores) convert(score, delta_.prompt_logprobs);
      append(state, event);
    } else if (event.finished()) {
      complete(state, engine::name_of(event.finish_reason));
    }
  } catch (const std::exception&) {
    broken_ = true;
    delta_.error = request_failure();
    if (event.finished())
      complete(state, engine::name_of(engine::FinishReason::error));
    else
      delta_.ask = OutputDelta::Ask::abort;
  }
  delta_.finish_reason = state.finish_reason;
  return delta_;
}

// Takes the event's tokens into the output until something stops it.
void OutputAssembler::append(State& state, const engine::OutputEvent& event) {
  for (size_t i = 0; i < event.token_ids.size() && !state.complete; ++i) {
    delta_.token_ids.push_back(event.token_ids[i]);
    if (i < event.scores.size()) convert(event.scores[i], delta_.logprobs);
    ++state.tokens;
    ++usage_.output_tokens;
    // The id that ended the output is no part of its text.
    const bool ender = event.finish_reason == engine::FinishReason::stop && i + 1 == event.token_ids.size();
    if (ender && !include_stop_) break;
    delta_.text += state.text.push(event.token_ids[i]);
    if (!state.text.stopped()) continue;
    delta_.stop_string = state.text.stopped_by();
    complete(state, "stop");
    if (event.finished()) continue;
    delta_.ask = OutputDelta::Ask::finish;
    delta_.keep_tokens = state.tokens;
  }
  if (!event.finished() || state.complete) return;
  delta_.text += state.text.finish();
  delta_.stop_string = state.text.stopped_by();
  complete(state, state.text.stopped() ? "stop" : engine::name_of(event.finish_reason));
}

// Reasons are short enough for a string's own storage, so nothing here can fail.
void OutputAssembler::complete(State& state, std::string_view reason) {
  if (state.complete) return;
  state.complete = true;
  state.finish_reason = reason;
  delta_.complete = true;
}

}  // namespace reprise::api
