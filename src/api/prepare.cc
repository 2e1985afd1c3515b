#include "api/prepare.h"

#include <algorithm>
#include <exception>
#include <new>
#include <utility>
#include <vector>

#include "api/chat_fields.h"
#include "api/sampling_check.h"
#include "core/failure.h"

namespace reprise::api {
namespace {

std::vector<int32_t> prompt_ids(const TextModel& text, const Prompt& prompt, int64_t max_model_len,
                                const std::atomic<bool>* cancel) {
  const int64_t most = max_model_len - (prompt.sampling.max_tokens == 0 ? 0 : 1);
  check_prompt_size(prompt);
  try {
    if (prompt.text)
      return text.tokenizer().encode(*prompt.text,
                                     tokenizer::EncodeOptions{.max_tokens = static_cast<size_t>(most)});
    if (!prompt.token_ids.empty()) {
      const auto length = static_cast<int64_t>(prompt.token_ids.size());
      if (length > most) throw PromptTooLong(std::to_string(length), most, max_model_len);
      return prompt.token_ids;
    }
    if (prompt.messages_json.empty() && prompt.messages.empty())
      return {};  // the engine refuses an empty prompt, in its words
    return text.encode_chat(text.render_chat(chat_request_of(prompt), cancel), static_cast<size_t>(most));
  } catch (const tokenizer::TooManyTokens&) {
    throw PromptTooLong(fmt::format("more than {}", most), most, max_model_len);
  }
}

// A word begins a text or follows a blank; tokenizers write the two differently, and both are bad.
void add_bad_words(const TextModel& text, const std::vector<std::string>& words,
                   std::vector<std::vector<int32_t>>& bad) {
  for (const std::string& word : words) {
    for (const std::string& form : {word, " " + word}) {
      std::vector<int32_t> ids = text.tokenizer().encode(form, false);
      if (!ids.empty() && std::find(bad.begin(), bad.end(), ids) == bad.end()) bad.push_back(std::move(ids));
    }
  }
  if (bad.size() > engine::SamplingParams::kMaxBadWords)
    throw Error(
        "[sampling] bad_words and bad_words_token_ids are {} sequences, at most {} are served; shorten them",
        bad.size(), engine::SamplingParams::kMaxBadWords);
}

}  // namespace

PromptTooLong::PromptTooLong(const std::string& found_tokens, int64_t most_tokens, int64_t model_len)
    : Error(ErrorCode::context_too_long,
            "[request] the prompt has {} tokens, at most {} fit with --max-model-len {}; shorten it or raise "
            "the limit",
            found_tokens, most_tokens, model_len),
      found(found_tokens),
      most(most_tokens),
      max_model_len(model_len) {}

PreparedRequest prepare(const TextModel& text, const Prompt& prompt, const PrepareLimits& limits,
                        const std::atomic<bool>* cancel) {
  const Sampling& sampling = prompt.sampling;
  check_sampling(sampling, limits.vocab_size, limits.max_logprobs);
  if (!sampling.stop.empty()) text.tokenizer();  // stop strings without text would never match
  PreparedRequest prepared{
      .request = {.sampling = engine_sampling(sampling),
                  .cache_salt = prompt.cache_salt,
                  .token_mask = prompt.token_mask},
      .form = {.outputs = sampling.n,
               .tokenizer = text.has_tokenizer() ? &text.tokenizer() : nullptr,
               .skip_special_tokens = sampling.skip_special_tokens,
               .stop = sampling.stop.empty() ? nullptr : std::make_shared<const StopSet>(sampling.stop),
               .include_stop = sampling.include_stop_str_in_output,
               .min_tokens = sampling.min_tokens},
      .echo = {}};
  add_bad_words(text, sampling.bad_words, prepared.request.sampling.bad_words_token_ids);
  prepared.request.prompt_token_ids = prompt_ids(text, prompt, limits.max_model_len, cancel);
  if (sampling.echo && text.has_tokenizer())
    prepared.echo = text.tokenizer().decode(prepared.request.prompt_token_ids, sampling.skip_special_tokens);
  return prepared;
}

std::string request_failure() noexcept {
  try {
    try {
      throw;
    } catch (const std::bad_alloc&) {
      return "[request] out of memory; send a smaller request or free memory";
    } catch (const std::exception& e) {
      return e.what();
    }
  } catch (...) {
    return std::string(kShortNoMemory);
  }
}

}  // namespace reprise::api
