// The text of one output as its tokens arrive: decoded, cut at stop strings, never half a character.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "api/stop_strings.h"
#include "tokenizer/streaming_decoder.h"

namespace reprise::api {

// One output, one thread.
class OutputText {
 public:
  // `tokenizer` null: every text is empty.
  OutputText(const tokenizer::Tokenizer* tokenizer, bool skip_special_tokens, std::vector<std::string> stop,
             bool include_stop)
      : stop_(std::move(stop), include_stop) {
    if (tokenizer != nullptr) decoder_.emplace(*tokenizer, skip_special_tokens);
  }

  // The text that this token settles.
  std::string push(int32_t token_id) {
    return decoder_ ? stop_.push(decoder_->push(token_id)) : std::string();
  }
  // A stop string was found: what follows does not belong to the output.
  bool stopped() const { return stop_.matched(); }
  // The rest of the text, at the end of the output. May find a stop string in the last characters.
  std::string finish() {
    if (!decoder_) return {};
    std::string rest = stop_.push(decoder_->flush());
    return rest + stop_.flush();
  }

 private:
  std::optional<tokenizer::StreamingDecoder> decoder_;
  StopStrings stop_;
};

}  // namespace reprise::api
