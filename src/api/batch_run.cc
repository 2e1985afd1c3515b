#include "api/batch_run.h"

#include <algorithm>

#include "api/graph_report.h"
#include "core/error.h"

namespace reprise::api {
namespace {

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

}  // namespace

BatchRun::BatchRun(engine::Engine& engine, const TextModel& text, const std::vector<Prompt>& prompts,
                   const StreamCallback& callback)
    : engine_(engine),
      text_(text),
      prompts_(prompts),
      callback_(callback),
      states_(prompts.size()),
      results_(prompts.size()) {}

std::vector<int32_t> BatchRun::prompt_ids(const Prompt& prompt) const {
  if (prompt.text) return text_.tokenizer().encode(*prompt.text);
  if (!prompt.token_ids.empty()) return prompt.token_ids;
  ChatRequest chat;
  if (!prompt.messages_json.empty()) {
    chat.messages = parse_json(prompt.messages_json, "messages");
  } else if (!prompt.messages.empty()) {
    for (const Message& message : prompt.messages)
      chat.messages.push_back({{"role", message.role}, {"content", message.content}});
  } else {
    return {};  // the engine refuses an empty prompt, in its words
  }
  return text_.encode_chat(text_.render_chat(chat));
}

engine::SamplingParams BatchRun::sampling_params(const Sampling& sampling) const {
  engine::SamplingParams params;
  params.temperature = sampling.temperature;
  params.top_k = sampling.top_k;
  params.top_p = sampling.top_p;
  params.min_p = sampling.min_p;
  params.repetition_penalty = sampling.repetition_penalty;
  params.presence_penalty = sampling.presence_penalty;
  params.frequency_penalty = sampling.frequency_penalty;
  params.logit_bias = sampling.logit_bias;
  params.seed = sampling.seed;
  params.stop_token_ids = sampling.stop_token_ids;
  params.ignore_eos = sampling.ignore_eos;
  params.min_tokens = sampling.min_tokens;
  params.max_tokens = sampling.max_tokens;
  params.bad_words_token_ids = sampling.bad_words_token_ids;
  params.n = sampling.n;
  params.logprobs = sampling.logprobs;
  params.prompt_logprobs = sampling.prompt_logprobs;
  for (const std::string& word : sampling.bad_words) {
    // A word begins a text or follows a space; tokenizers write the two differently, and both are bad.
    for (const std::string& form : {word, " " + word}) {
      std::vector<int32_t> ids = text_.tokenizer().encode(form, false);
      if (!ids.empty() && std::find(params.bad_words_token_ids.begin(), params.bad_words_token_ids.end(),
                                    ids) == params.bad_words_token_ids.end())
        params.bad_words_token_ids.push_back(std::move(ids));
    }
  }
  return params;
}

void BatchRun::submit(size_t index) {
  const Prompt& prompt = prompts_[index];
  Result& result = results_[index];
  engine::Request request;
  try {
    if (!prompt.sampling.stop.empty()) text_.tokenizer();  // stop strings without text would never match
    request = {.prompt_token_ids = prompt_ids(prompt), .sampling = sampling_params(prompt.sampling)};
  } catch (const std::runtime_error& e) {
    result.error = e.what();
    return;
  }
  result.prompt_token_ids = request.prompt_token_ids;
  const tokenizer::Tokenizer* tokenizer = text_.has_tokenizer() ? &text_.tokenizer() : nullptr;
  for (int i = 0; i < std::max(1, prompt.sampling.n); ++i) {
    result.outputs.push_back({.index = i, .text = {}, .token_ids = {}, .finish_reason = {}, .logprobs = {}});
    if (prompt.sampling.echo && tokenizer != nullptr)
      result.outputs.back().text =
          tokenizer->decode(request.prompt_token_ids, prompt.sampling.skip_special_tokens);
    states_[index].outputs.push_back(
        {.text = OutputText(tokenizer, prompt.sampling.skip_special_tokens, prompt.sampling.stop,
                            prompt.sampling.include_stop_str_in_output)});
  }
  // Events may come before submit() returns, so the way back is laid first.
  prompt_of_request_.push_back(index);
  const engine::RequestId id = engine_.submit(std::move(request));
  if (prompt_of_request_.size() == 1) first_id_ = id;
  REPRISE_CHECK(id == first_id_ + prompt_of_request_.size() - 1, "request ids are not consecutive");
}

std::vector<Result> BatchRun::run() {
  for (size_t i = 0; i < prompts_.size(); ++i) submit(i);
  engine_.run();
  return std::move(results_);
}

// Takes the event's tokens into the output until something stops it.
void BatchRun::append(size_t index, const engine::OutputEvent& event, std::string& new_text) {
  const Sampling& sampling = prompts_[index].sampling;
  OutputState& state = states_[index].outputs[static_cast<size_t>(event.output)];
  Output& output = results_[index].outputs[static_cast<size_t>(event.output)];
  const std::vector<TokenLogprob> scores = converted(event.scores);
  for (size_t i = 0; i < event.token_ids.size() && !state.stopped; ++i) {
    output.token_ids.push_back(event.token_ids[i]);
    if (i < scores.size()) output.logprobs.push_back(scores[i]);
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

void BatchRun::on_event(const engine::OutputEvent& event) {
  const size_t index =
      prompt_of_request_.size() == 1 ? prompt_of_request_[0] : prompt_of_request_[event.request - first_id_];
  Result& result = results_[index];
  Output& output = result.outputs[static_cast<size_t>(event.output)];
  if (event.finish_reason == engine::FinishReason::error) {
    result.error = event.error;
    return;
  }
  append_all(result.prompt_logprobs, converted(event.prompt_scores));
  std::string new_text;
  const size_t tokens_before = output.token_ids.size();
  append(index, event, new_text);
  output.text += new_text;
  if (event.finished()) {
    Metrics& metrics = result.metrics;
    // Of several outputs, the first's times speak for the prompt; steps are those of the longest.
    if (event.output == 0) {
      metrics.time_to_first_token_s = event.metrics.time_to_first_token_s;
      metrics.decode_tokens_per_s = event.metrics.decode_tokens_per_s;
    }
    metrics.preemptions += event.metrics.preemptions;
    if (event.metrics.steps.replayed >= metrics.steps_replayed)
      metrics.steps_replayed = event.metrics.steps.replayed;
    if (event.output == 0) metrics.steps_not_replayed = not_replayed(event.metrics.steps);
  }
  if (!callback_) return;
  const std::vector<int32_t> new_ids(output.token_ids.begin() + static_cast<ptrdiff_t>(tokens_before),
                                     output.token_ids.end());
  const bool go_on = callback_({.prompt = index,
                                .output = event.output,
                                .text = new_text,
                                .token_ids = new_ids,
                                .finished = event.finished()});
  if (!go_on && !event.finished())
    engine_.finish(event.request, event.output, engine::FinishReason::abort,
                   static_cast<int64_t>(output.token_ids.size()));
}

}  // namespace reprise::api
