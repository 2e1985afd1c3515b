#include "api/batch_run.h"

#include <algorithm>
#include <exception>
#include <utility>

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
  auto owned = std::make_unique<Active>(taken_++, std::move(prompt), ResultBuilder(""));
  Active& active = *owned;
  active_.emplace(id, std::move(owned));
  try {
    PreparedRequest prepared = prepare(text_, active.prompt, limits_);
    active.result = ResultBuilder(prepared);
    const auto outputs = static_cast<size_t>(prepared.form.outputs);
    // Counted before: events may come before this returns.
    open_outputs_ += outputs;
    try {
      engine_.submit_as(id, std::move(prepared.request));
    } catch (...) {
      open_outputs_ -= outputs;
      throw;
    }
  } catch (const std::exception&) {
    active.result = ResultBuilder(request_failure());
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
    if (options_.on_result && !options_.on_result(active->index, active->prompt, active->result.finish()))
      cancel();
  }
}

// Ends what runs with finish reason `abort`; no further prompt is taken.
void BatchRun::cancel() {
  if (cancelled_) return;
  cancelled_ = true;
  at_end_ = true;
  for (const auto& [id, active] : active_)
    if (!active->result.finished()) engine_.abort(id);
}

// --- events

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
  if (found == active_.end() || !found->second->result.runs()) return;
  Active& active = *found->second;
  const OutputDelta& delta = active.result.take(event);
  try {
    ask(event.request, delta);
  } catch (const std::exception&) {
    // The request can't be kept in step with its text; the others go on.
    active.result.fail();
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
        engine_.finish(event.request, event.output, engine::FinishReason::abort,
                       static_cast<int64_t>(active.result.output(delta.output).token_ids.size()));
      }
    } catch (...) {
      callback_failed_ = true;
      throw;
    }
  }
  if (active.result.finished()) done_.push_back(event.request);
}

}  // namespace reprise::api
