// A prompt as the engine takes it: its fields checked, its chat rendered, its text encoded and counted. All of
// it on the caller's thread, before the engine hears of it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "api/stop_strings.h"
#include "api/text_model.h"
#include "core/error.h"
#include "engine/scheduling/request.h"
#include "reprise/reprise.h"

namespace reprise::api {

// What a request is checked against.
struct PrepareLimits {
  int64_t max_model_len = 0;
  int64_t vocab_size = 0;
  int32_t max_logprobs = 0;  // -1: no limit
  int64_t cache_tokens = 0;  // that the KV cache holds; prepare() leaves it to the engine
};

// More tokens than fit with what is to be generated.
class PromptTooLong : public Error {
 public:
  // `found`: "612", or "more than 511" where counting stopped there.
  PromptTooLong(const std::string& found, int64_t most, int64_t max_model_len);
  const std::string found;
  const int64_t most;
  const int64_t max_model_len;
};

// What becomes of the tokens of a request: OutputAssembler's share of its fields.
struct OutputForm {
  int outputs = 1;
  const tokenizer::Tokenizer* tokenizer = nullptr;  // null: outputs have no text
  bool skip_special_tokens = true;
  std::shared_ptr<const StopSet> stop = {};  // null: none
  bool include_stop = false;                 // stop strings and ending ids stay in the text
  int min_tokens = 0;
};

struct PreparedRequest {
  engine::Request request;
  OutputForm form;
  std::string echo;  // where asked for: the prompt's text, with which the text of each output begins
};

// Safe from many threads; `text` must outlive the OutputForm. Throws Error that names the field, value and
// range, PromptTooLong, what the template says, and Error once `*cancel` is true while a template is rendered
// (null: never). A prompt that is empty or has ids outside of the vocabulary is left to the engine, which
// answers with an error event.
PreparedRequest prepare(const TextModel& text, const Prompt& prompt, const PrepareLimits& limits,
                        const std::atomic<bool>* cancel = nullptr);

// The message of the exception that is being handled, as a request's error; call it inside of a catch block.
std::string request_failure() noexcept;

}  // namespace reprise::api
