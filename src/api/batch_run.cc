#include "api/batch_run.h"

#include <algorithm>
#include <exception>
#include <iterator>
#include <new>
#include <utility>

#include "api/chat_fields.h"
#include "api/graph_report.h"
#include "api/sampling_check.h"
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

std::vector<TokenLogprob> converted(const std::vector<engine::TokenScore>& scores) {
  std::vector<TokenLogprob> logprobs;
  for (const engine::TokenScore& score : scores) {
    TokenLogprob& logprob = logprobs.emplace_back(TokenLogprob{score.token_id, score.logprob, {}});
    for (const engine::RankedToken& ranked : score.top)
      logprob.top.push_back({ranked.token_id, ranked.logprob});
  }
  return logprobs;
}

void append_all(std::vector<TokenLogprob>& to, std::vector<TokenLogprob>&& from) {
  std::move(from.begin(), from.end(), std::back_inserter(to));
}

[[noreturn]] void too_long(const std::string& found, int64_t most, int64_t max_model_len) {
  throw Error(
      "[request] the prompt has {} tokens, at most {} fit with --max-model-len {}; shorten it or raise the "
      "limit",
      found, most, max_model_len);
}

// What an exception of ours says in a result.
std::string message_of_current() {
  try {
    throw;
  } catch (const std::bad_alloc&) {
    return "[request] out of memory; send a smaller request or free memory";
  } catch (const std::exception& e) {
    return e.what();
  }
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
    : engine_(engine), text_(text), next_id_(next_id), source_(source), options_(options) {}

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

std::vector<int32_t> BatchRun::prompt_ids(const Prompt& prompt) const {
  const int64_t max_model_len = engine_.config().max_model_len;
  const int64_t most = max_model_len - (prompt.sampling.max_tokens == 0 ? 0 : 1);
  check_prompt_size(prompt);
  try {
    if (prompt.text)
      return text_.tokenizer().encode(*prompt.text,
                                      tokenizer::EncodeOptions{.max_tokens = static_cast<size_t>(most)});
    if (!prompt.token_ids.empty()) {
      const auto length = static_cast<int64_t>(prompt.token_ids.size());
      if (length > most) too_long(std::to_string(length), most, max_model_len);
      return prompt.token_ids;
    }
    if (prompt.messages_json.empty() && prompt.messages.empty())
      return {};  // the engine refuses an empty prompt, in its words
    return text_.encode_chat(text_.render_chat(chat_request_of(prompt)), static_cast<size_t>(most));
  } catch (const tokenizer::TooManyTokens&) {
    too_long(fmt::format("more than {}", most), most, max_model_len);
  }
}

engine::Request BatchRun::request_of(const Prompt& prompt) const {
  const Sampling& sampling = prompt.sampling;
  const engine::EngineConfig& config = engine_.config();
  check_sampling(sampling, engine_.model().config().vocab_size, config.max_logprobs);
  if (!sampling.stop.empty()) text_.tokenizer();  // stop strings without text would never match
  engine::SamplingParams params = engine_sampling(sampling);
  std::vector<std::vector<int32_t>>& bad = params.bad_words_token_ids;
  for (const std::string& word : sampling.bad_words) {
    // A word begins a text or follows a blank; tokenizers write the two differently, and both are bad.
    for (const std::string& form : {word, " " + word}) {
      std::vector<int32_t> ids = text_.tokenizer().encode(form, false);
      if (!ids.empty() && std::find(bad.begin(), bad.end(), ids) == bad.end()) bad.push_back(std::move(ids));
    }
  }
  if (bad.size() > engine::SamplingParams::kMaxBadWords)
    throw Error(
        "[sampling] bad_words and bad_words_token_ids are {} sequences, at most {} are served; shorten them",
        bad.size(), engine::SamplingParams::kMaxBadWords);
  return {.prompt_token_ids = prompt_ids(prompt), .sampling = std::move(params)};
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
  const Sampling& sampling = active.prompt.sampling;
  try {
    engine::Request request = request_of(active.prompt);
    result.prompt_token_ids = request.prompt_token_ids;
    const tokenizer::Tokenizer* tokenizer = text_.has_tokenizer() ? &text_.tokenizer() : nullptr;
    const OutputTextOptions text_options = {
        .skip_special_tokens = sampling.skip_special_tokens,
        .stop = sampling.stop.empty() ? nullptr : std::make_shared<const StopSet>(sampling.stop),
        .include_stop = sampling.include_stop_str_in_output,
        .min_tokens = sampling.min_tokens};
    std::string echo;
    if (sampling.echo && tokenizer != nullptr)
      echo = tokenizer->decode(request.prompt_token_ids, sampling.skip_special_tokens);
    const auto outputs = static_cast<size_t>(sampling.n);
    active.outputs.reserve(outputs);
    for (int i = 0; i < sampling.n; ++i) {
      result.outputs.push_back(
          {.index = i, .text = echo, .token_ids = {}, .finish_reason = {}, .logprobs = {}});
      active.outputs.push_back({.text = OutputText(tokenizer, text_options)});
    }
    // Counted before: events may come before this returns.
    active.unfinished = outputs;
    open_outputs_ += outputs;
    try {
      engine_.submit_as(id, std::move(request));
    } catch (...) {
      open_outputs_ -= outputs;
      throw;
    }
  } catch (const std::exception&) {
    result.outputs.clear();
    active.outputs.clear();
    active.unfinished = 0;
    result.error = message_of_current();
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
    if (active->unfinished > 0) engine_.abort(id);
}

// --- events

// Takes the event's tokens into the output until something stops it.
void BatchRun::append(Active& active, const engine::OutputEvent& event, std::string& new_text) {
  const Sampling& sampling = active.prompt.sampling;
  OutputState& state = active.outputs[static_cast<size_t>(event.output)];
  Output& output = active.result.outputs[static_cast<size_t>(event.output)];
  std::vector<TokenLogprob> scores = converted(event.scores);
  for (size_t i = 0; i < event.token_ids.size() && !state.stopped; ++i) {
    output.token_ids.push_back(event.token_ids[i]);
    if (i < scores.size()) output.logprobs.push_back(std::move(scores[i]));
    // The id that ended the output is no part of its text.
    const bool ender = event.finish_reason == engine::FinishReason::stop && i + 1 == event.token_ids.size();
    if (ender && !sampling.include_stop_str_in_output) break;
    new_text += state.text.push(event.token_ids[i]);
    if (!state.text.stopped()) continue;
    state.stopped = true;
    if (!event.finished())
      engine_.finish(event.request, event.output, engine::FinishReason::stop,
                     static_cast<int64_t>(output.token_ids.size()));
  }
  if (!event.finished()) return;
  if (!state.stopped) new_text += state.text.finish();
  output.finish_reason = state.text.stopped() ? "stop" : std::string(engine::name_of(event.finish_reason));
}

void BatchRun::absorb(Active& active, const engine::OutputEvent& event, std::string& new_text) {
  Result& result = active.result;
  append_all(result.prompt_logprobs, converted(event.prompt_scores));
  append(active, event, new_text);
  result.outputs[static_cast<size_t>(event.output)].text += new_text;
  if (event.finish_reason == engine::FinishReason::error && result.error.empty()) result.error = event.error;
  if (!event.finished()) return;
  Metrics& metrics = result.metrics;
  // Of several outputs, the first's times are the prompt's; steps are those of the longest.
  if (event.output == 0) {
    metrics.time_to_first_token_s = event.metrics.time_to_first_token_s;
    metrics.decode_tokens_per_s = event.metrics.decode_tokens_per_s;
    metrics.steps_not_replayed = not_replayed(event.metrics.steps);
  }
  metrics.preemptions += event.metrics.preemptions;
  metrics.steps_replayed = std::max(metrics.steps_replayed, event.metrics.steps.replayed);
}

void BatchRun::on_event(const engine::OutputEvent& event) {
  if (callback_failed_) return;
  const auto found = active_.find(event.request);
  if (found == active_.end() || static_cast<size_t>(event.output) >= found->second->outputs.size()) return;
  Active& active = *found->second;
  OutputState& state = active.outputs[static_cast<size_t>(event.output)];
  if (state.finished) return;
  Output& output = active.result.outputs[static_cast<size_t>(event.output)];
  const size_t tokens_before = output.token_ids.size();
  std::string new_text;
  try {
    if (!active.broken)
      absorb(active, event, new_text);
    else if (event.finished())
      output.finish_reason = engine::name_of(event.finish_reason);
  } catch (const std::exception&) {
    // The text of this request could not be made; the others go on.
    active.broken = true;
    active.result.error = message_of_current();
    if (event.finished())
      output.finish_reason = engine::name_of(engine::FinishReason::error);
    else
      engine_.abort(event.request);
  }
  if (event.finished()) {
    state.finished = true;
    --open_outputs_;
  }
  if (options_.on_event) {
    try {
      const std::vector<int32_t> new_ids(output.token_ids.begin() + static_cast<ptrdiff_t>(tokens_before),
                                         output.token_ids.end());
      const bool go_on = options_.on_event({.prompt = active.index,
                                            .output = event.output,
                                            .text = new_text,
                                            .token_ids = new_ids,
                                            .finished = event.finished()});
      if (!go_on && !event.finished() && !state.stopped)
        engine_.finish(event.request, event.output, engine::FinishReason::abort,
                       static_cast<int64_t>(output.token_ids.size()));
    } catch (...) {
      callback_failed_ = true;
      throw;
    }
  }
  if (event.finished() && --active.unfinished == 0) done_.push_back(event.request);
}

}  // namespace reprise::api
