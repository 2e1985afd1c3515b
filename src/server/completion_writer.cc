#include "server/completion_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <utility>

#include "server/generation_form.h"
#include "server/reply_text.h"

namespace reprise::server {

CompletionWriter::CompletionWriter(const GenerationRequest& request, ReplyIdentity identity,
                                   std::vector<std::string> echoes,
                                   std::vector<std::vector<int32_t>> prompt_ids)
    : chat_(request.endpoint == Endpoint::chat),
      stream_(request.stream),
      include_usage_(request.include_usage),
      continuous_usage_(request.continuous_usage),
      return_ids_(request.return_token_ids),
      logprobs_(request.wants_logprobs),
      n_(static_cast<size_t>(request.n)),
      made_(static_cast<size_t>(request.prompts[0].sampling.n)),
      gathered_(request.gathered_tokens),
      identity_(std::move(identity)),
      echoes_(std::move(echoes)),
      prompt_ids_(std::move(prompt_ids)),
      head_(head_of(!chat_    ? "text_completion"
                    : stream_ ? "chat.completion.chunk"
                              : "chat.completion")),
      choices_(echoes_.size() * made_) {}

// With log-probabilities the prompt's tokens are listed too; nothing predicts the first one.
void CompletionWriter::add_echo(size_t prompt, Choice& choice) {
  choice.text = echoes_[prompt] + choice.text;
  if (!logprobs_) return;
  std::vector<TokenLogprob> all;
  if (!prompt_ids_[prompt].empty())
    all.push_back({.token_id = prompt_ids_[prompt][0], .logprob = 0, .top = {}});
  all.insert(all.end(), choice.prompt_logprobs.begin(), choice.prompt_logprobs.end());
  all.insert(all.end(), choice.logprobs.begin(), choice.logprobs.end());
  choice.logprobs = std::move(all);
}

void CompletionWriter::add(size_t prompt, const api::OutputDelta& delta, const ReplyUsage& usage,
                           std::string& to) {
  const size_t number = prompt * made_ + static_cast<size_t>(delta.output);
  Choice& choice = choices_[number];
  if (!choice.finish_reason.empty()) return;
  choice.text += delta.text;
  choice.ids.insert(choice.ids.end(), delta.token_ids.begin(), delta.token_ids.end());
  choice.logprobs.insert(choice.logprobs.end(), delta.logprobs.begin(), delta.logprobs.end());
  if (!delta.prompt_logprobs.empty())
    for (size_t i = prompt * made_; i < (prompt + 1) * made_; ++i)
      choices_[i].prompt_logprobs = delta.prompt_logprobs;
  for (const TokenLogprob& token : delta.logprobs) choice.sum += static_cast<double>(token.logprob);
  if (delta.complete) choice.finish_reason = delta.finish_reason;
  if (!stream_) {
    choice.begun = true;
    return;
  }
  const bool first = !choice.begun && gathered_ == 1;  // it says that the output has begun
  if (first || choice.ids.size() >= gathered_ || !choice.finish_reason.empty())
    append_chunk(to, number, usage);
}

// Writes what there is of an output, and forgets it.
void CompletionWriter::append_chunk(std::string& to, size_t number, const ReplyUsage& usage) {
  Choice& choice = choices_[number];
  const size_t prompt = number / made_;
  if (!choice.begun && !echoes_[prompt].empty()) add_echo(prompt, choice);
  to.append("data: ").append(head_).append("\"choices\":[");
  append_choice(to, number, prompt, choice);
  to.append("]");
  if (continuous_usage_)
    append_usage(to, usage);
  else if (include_usage_)
    to.append(",\"usage\":null");
  to.append("}\n\n");
  choice.begun = true;
  choice.text.clear();
  choice.ids.clear();
  choice.logprobs.clear();
}

std::string CompletionWriter::head_of(std::string_view object) const {
  std::string to = "{\"id\":";
  append_json_string(to, identity_.id);
  fmt::format_to(std::back_inserter(to), ",\"object\":\"{}\",\"created\":{},\"model\":", object,
                 identity_.created);
  append_json_string(to, identity_.model);
  to.append(",\"system_fingerprint\":");
  append_json_string(to, identity_.fingerprint);
  to.push_back(',');
  return to;
}

void CompletionWriter::append_usage(std::string& to, const ReplyUsage& usage) const {
  fmt::format_to(std::back_inserter(to),
                 ",\"usage\":{{\"prompt_tokens\":{},\"completion_tokens\":{},\"total_tokens\":{},"
                 "\"prompt_tokens_details\":{{\"cached_tokens\":{}}}}}",
                 usage.prompt_tokens, usage.output_tokens, usage.prompt_tokens + usage.output_tokens,
                 usage.cached_tokens);
}

// `index`: what a client counts by.
void CompletionWriter::append_choice(std::string& to, size_t index, size_t prompt, Choice& choice) {
  fmt::format_to(std::back_inserter(to), "{{\"index\":{},", index);
  if (!chat_) {
    to.append("\"text\":");
    append_json_string(to, choice.text);
  } else {
    to.append(stream_ ? "\"delta\":{" : "\"message\":{");
    if (!choice.begun || !stream_) to.append("\"role\":\"assistant\",");
    to.append("\"content\":");
    append_json_string(to, choice.text);
    if (!stream_) to.append(",\"refusal\":null");
    to.push_back('}');
  }
  to.append(",\"logprobs\":");
  if (!logprobs_ || (stream_ && choice.logprobs.empty())) {
    to.append("null");
  } else if (chat_) {
    to.append("{\"content\":");
    append_chat_logprobs(to, choice.logprobs, identity_.tokenizer);
    to.append(",\"refusal\":null}");
  } else {
    append_completion_logprobs(to, choice.logprobs, identity_.tokenizer, choice.offset,
                               !choice.begun && !echoes_[prompt].empty());
  }
  if (!chat_ && !choice.prompt_logprobs.empty() && echoes_[prompt].empty() && !stream_) {
    int64_t offset = 0;
    to.append(",\"prompt_logprobs\":");
    append_completion_logprobs(to, choice.prompt_logprobs, identity_.tokenizer, offset, false);
  }
  if (return_ids_) {
    if (!stream_ || !choice.begun) {
      to.append(",\"prompt_token_ids\":");
      append_ids(to, prompt_ids_[prompt]);
    }
    to.append(",\"completion_token_ids\":");
    append_ids(to, choice.ids);
  }
  to.append(",\"finish_reason\":");
  if (choice.finish_reason.empty())
    to.append("null");
  else
    append_json_string(to, choice.finish_reason);
  to.push_back('}');
}

void CompletionWriter::finish_stream(const ReplyUsage& usage, std::string& to) {
  if (include_usage_) {
    to.append("data: ").append(head_).append("\"choices\":[]");
    append_usage(to, usage);
    to.append("}\n\n");
  }
  to.append("data: [DONE]\n\n");
}

void CompletionWriter::fail_stream(const ApiError& error, const ReplyUsage& usage, std::string& to) {
  for (size_t i = 0; i < choices_.size(); ++i)
    if (!choices_[i].ids.empty()) append_chunk(to, i, usage);  // what was gathered
  to.append("data: ").append(error_text(error, ErrorForm::openai)).append("\n\n");
}

// The choices that are returned: of each prompt the n with the largest mean log-probability, those first.
std::vector<size_t> CompletionWriter::best() const {
  std::vector<size_t> numbers;
  for (size_t first = 0; first < choices_.size(); first += made_) {
    std::vector<size_t> of_prompt(made_);
    for (size_t i = 0; i < made_; ++i) of_prompt[i] = first + i;
    const auto mean = [&](size_t i) {
      return choices_[i].sum / static_cast<double>(std::max<size_t>(1, choices_[i].ids.size()));
    };
    if (made_ > n_)
      std::ranges::stable_sort(of_prompt, [&](size_t a, size_t b) { return mean(a) > mean(b); });
    numbers.insert(numbers.end(), of_prompt.begin(), of_prompt.begin() + static_cast<std::ptrdiff_t>(n_));
  }
  return numbers;
}

std::string CompletionWriter::whole(const ReplyUsage& usage) {
  std::string to = head_ + "\"choices\":[";
  const std::vector<size_t> numbers = best();
  for (size_t i = 0; i < numbers.size(); ++i) {
    Choice& choice = choices_[numbers[i]];
    const size_t prompt = numbers[i] / made_;
    if (i > 0) to.push_back(',');
    choice.begun = false;
    if (!echoes_[prompt].empty()) add_echo(prompt, choice);
    append_choice(to, i, prompt, choice);
  }
  to.append("]");
  append_usage(to, usage);
  to.append("}");
  return to;
}

std::string_view CompletionWriter::finish_reason() const {
  return choices_.empty() ? std::string_view() : choices_[0].finish_reason;
}

namespace {

template <Endpoint endpoint>
GenerationRequest parse(const HttpRequest& request, const Sampling& defaults) {
  return parse_generation_request(endpoint, request.body, defaults);
}

std::unique_ptr<ReplyWriter> make_writer(const GenerationRequest& request, ReplyIdentity identity,
                                         std::vector<std::string> echoes,
                                         std::vector<std::vector<int32_t>> prompt_ids) {
  return std::make_unique<CompletionWriter>(request, std::move(identity), std::move(echoes),
                                            std::move(prompt_ids));
}

}  // namespace

const GenerationForm kChatForm = {.id_prefix = "chatcmpl-",
                                  .id_field = "x-request-id",
                                  .logprobs_field = "top_logprobs",
                                  .prompt_field = "messages",
                                  .parse = parse<Endpoint::chat>,
                                  .make_writer = make_writer};
const GenerationForm kCompletionsForm = {.id_prefix = "cmpl-",
                                         .id_field = "x-request-id",
                                         .logprobs_field = "logprobs",
                                         .prompt_field = "prompt",
                                         .parse = parse<Endpoint::completions>,
                                         .make_writer = make_writer};

}  // namespace reprise::server
