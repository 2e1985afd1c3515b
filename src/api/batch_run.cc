#include "api/batch_run.h"

#include <algorithm>
#include <exception>
#include <iterator>
#include <utility>

#include "api/graph_report.h"
#include "core/error.h"
#include "models/model.h"

namespace reprise::api {
namespace {

// Outputs in the engine for each sequence that fits into a step: the scheduler looks at twice as many waiting
// ones as fit (engine/engine.cc), so more would only wait here instead of there.
constexpr size_t kOutputsPerSequence = 4;
// Results that are complete but not delivered, which happens between steps.
constexpr size_t kMaxDone = 64;
// Prompts taken ahead of the oldest one that runs: bounds what a caller holds who writes results in order.
constexpr size_t kMaxAhead = 4096;

void append_all(std::vector<TokenLogprob>& to, std::vector<TokenLogprob>&& from) {
  std::move(from.begin(), from.end(), std::back_inserter(to));
}

// An error without anything produced before it has no outputs.
void drop_empty_outputs(Result& result) {
  if (std::all_of(result.outputs.begin(), result.outputs.end(),
                  [](const Output& output) { return output.token_ids.empty(); }))
    result.outputs.clear();
}

}  // namespace

BatchRun::BatchRun(engine::Engine& engine, const TextModel& text, engine::RequestId& next_id,
                   const PromptSource& source, const GenerateOptions& options)
    : engine_(engine),
      text_(text),
      limits_{.max_model_len = engine.config().max_model_len,
              .vocab_size = engine.model().config().vocab_size,
              .max_logprobs = engine.config().max_logprobs},
      next_id_(next_id),
      source_(source),
      options_(options) {}

BatchRun::~BatchRun() {
  if (!complete_) engine_.abort_all();
}

void BatchRun::run() {
  for (;;) {
    if (!cancelled_ && options_.cancel != nullptr && options_.cancel->load(std::memory_order_relaxed))
      cancel();
    deliver();
    take_prompts();
    if (done_.empty() && active_.empty() && at_end_) break;
    if (open_outputs_ == 0) continue;
    const bool stepped = engine_.step();
    REPRISE_CHECK(stepped || !engine_.idle() || open_outputs_ == 0, "the engine is idle, {} outputs are open",
                  open_outputs_);
  }
  complete_ = true;
}

// --- prompts

bool BatchRun::may_take() const {
  const auto in_step = static_cast<size_t>(engine_.config().max_num_seqs);
  if (at_end_ || done_.size() >= kMaxDone || open_outputs_ >= kOutputsPerSequence * in_step) return false;
  return active_.empty() || taken_ - active_.begin()->second->index < kMaxAhead;
}

void BatchRun::take_prompts() {
  while (may_take()) {
    Prompt prompt;
    const bool may_wait = active_.empty();
    switch (source_(prompt, may_wait)) {
      case PromptFeed::prompt:
        start(std::move(prompt));
        break;
      case PromptFeed::later:
        return;
      case PromptFeed::end:
        at_end_ = true;
        break;
    }
  }
}

// What is wrong with a prompt is its result; only exceptions of callers leave.
void BatchRun::start(Prompt prompt) {
  const engine::RequestId id = next_id_++;
  auto owned = std::make_unique<Active>();
  Active& active = *owned;
  active.index = taken_++;
  active.prompt = std::move(prompt);
  active_.emplace(id, std::move(owned));
  Result& result = active.result;
  try {
    PreparedRequest prepared = prepare(text_, active.prompt, limits_);
    result.prompt_token_ids = prepared.request.prompt_token_ids;
    for (int i = 0; i < prepared.form.outputs; ++i)
      result.outputs.push_back(
          {.index = i, .text = prepared.echo, .token_ids = {}, .finish_reason = {}, .logprobs = {}});
    active.assembler.emplace(prepared);
    // Counted before: events may come before this returns.
    open_outputs_ += result.outputs.size();
    try {
      engine_.submit_as(id, std::move(prepared.request));
    } catch (...) {
      open_outputs_ -= result.outputs.size();
      throw;
    }
  } catch (const std::exception&) {
    result.error = request_failure();
    result.outputs.clear();
    active.assembler.reset();
    done_.push_back(id);
  }
}

// --- results

void BatchRun::deliver() {
  // A callback may throw at any of them; then nothing is delivered twice.
  while (!done_.empty()) {
    const auto found = active_.find(done_.front());
    done_.erase(done_.begin());
    const std::unique_ptr<Active> active = std::move(found->second);
    active_.erase(found);
    if (!active->result.error.empty()) drop_empty_outputs(active->result);
    if (options_.on_result && !options_.on_result(active->index, active->prompt, std::move(active->result)))
      cancel();
  }
}

// Ends what runs with finish reason `abort`; no further prompt is taken.
void BatchRun::cancel() {
  if (cancelled_) return;
  cancelled_ = true;
  at_end_ = true;
  for (const auto& [id, active] : active_)
    if (active->assembler && !active->assembler->finished()) engine_.abort(id);
}

// --- events

void BatchRun::absorb(Result& result, OutputDelta& delta) {
  Output& output = result.outputs[static_cast<size_t>(delta.output)];
  output.token_ids.insert(output.token_ids.end(), delta.token_ids.begin(), delta.token_ids.end());
  append_all(output.logprobs, std::move(delta.logprobs));
  append_all(result.prompt_logprobs, std::move(delta.prompt_logprobs));
  output.text += delta.text;
  if (result.error.empty()) result.error = delta.error;
  if (!delta.finished) return;
  output.finish_reason = delta.finish_reason;
  Metrics& metrics = result.metrics;
  // Of several outputs, the first's times are the prompt's; steps are those of the longest.
  if (delta.output == 0) {
    metrics.time_to_first_token_s = delta.metrics.time_to_first_token_s;
    metrics.decode_tokens_per_s = delta.metrics.decode_tokens_per_s;
    metrics.steps_not_replayed = not_replayed(delta.metrics.steps);
  }
  metrics.preemptions += delta.metrics.preemptions;
  metrics.steps_replayed = std::max(metrics.steps_replayed, delta.metrics.steps.replayed);
}

// What the assembler wants the engine to do.
void BatchRun::ask(engine::RequestId id, const OutputDelta& delta) {
  if (delta.ask == OutputDelta::Ask::finish)
    engine_.finish(id, delta.output, engine::FinishReason::stop, delta.keep_tokens);
  else if (delta.ask == OutputDelta::Ask::abort)
    engine_.abort(id);
}

void BatchRun::on_event(const engine::OutputEvent& event) {
  if (callback_failed_) return;
  const auto found = active_.find(event.request);
  if (found == active_.end() || !found->second->assembler) return;
  Active& active = *found->second;
  OutputDelta& delta = active.assembler->take(event);
  try {
    absorb(active.result, delta);
    ask(event.request, delta);
  } catch (const std::exception&) {
    // The result of this request could not be kept; the others go on.
    active.result.error = request_failure();
    active.assembler->give_up();
    if (!delta.finished) engine_.abort(event.request);
  }
  if (delta.finished) --open_outputs_;
  if (options_.on_event) {
    try {
      const bool go_on = options_.on_event({.prompt = active.index,
                                            .output = delta.output,
                                            .text = delta.text,
                                            .token_ids = delta.token_ids,
                                            .finished = delta.finished});
      if (!go_on && !delta.complete && !delta.finished) {
        const Output& output = active.result.outputs[static_cast<size_t>(delta.output)];
        engine_.finish(event.request, event.output, engine::FinishReason::abort,
                       static_cast<int64_t>(output.token_ids.size()));
      }
    } catch (...) {
      callback_failed_ = true;
      throw;
    }
  }
  if (active.assembler->finished()) done_.push_back(event.request);
}

}  // namespace reprise::api
