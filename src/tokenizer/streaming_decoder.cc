#include "tokenizer/streaming_decoder.h"

#include <utility>
#include <vector>

#include "core/error.h"
#include "tokenizer/tokenizer_impl.h"

namespace reprise::tokenizer {

struct StreamingDecoder::State final : TokenStream {
  State(const std::vector<DecoderPtr>& decoders, DecodeMode mode) {
    // From the last decoder to the first: each stream forwards to the one made before it.
    TokenStream* next = this;
    for (auto decoder = decoders.rbegin(); decoder != decoders.rend(); ++decoder) {
      streams.push_back((*decoder)->start(*next, mode));
      next = streams.back().get();
    }
    first = next;
  }
  void text(std::string_view fragment) override { final_text += fragment; }
  void end_token() override {}
  void finish() override {}

  std::vector<TokenStreamPtr> streams;
  TokenStream* first = nullptr;
  std::string final_text;
};

StreamingDecoder::StreamingDecoder(const Tokenizer& tokenizer, bool skip_special_tokens)
    : StreamingDecoder(tokenizer, skip_special_tokens, DecodeMode::streaming) {}
StreamingDecoder::StreamingDecoder(const Tokenizer& tokenizer, bool skip_special_tokens, DecodeMode mode)
    : tokenizer_(&tokenizer),
      skip_special_tokens_(skip_special_tokens),
      mode_(mode),
      state_(std::make_unique<State>(tokenizer.impl_->decoders, mode)) {}
StreamingDecoder::StreamingDecoder(StreamingDecoder&&) noexcept = default;
StreamingDecoder& StreamingDecoder::operator=(StreamingDecoder&&) noexcept = default;
StreamingDecoder::~StreamingDecoder() = default;

std::string StreamingDecoder::push(int32_t id) {
  if (id < 0) throw Error("[tokenizer] token id {} is negative, expected 0 or more", id);
  const std::optional<std::string_view> token = tokenizer_->id_to_token(id);
  if (!token || (skip_special_tokens_ && tokenizer_->impl_->added.is_special(id))) return {};
  state_->first->text(*token);
  state_->first->end_token();
  return std::exchange(state_->final_text, {});
}

std::string StreamingDecoder::flush() {
  state_->first->finish();
  std::string rest = std::move(state_->final_text);
  state_ = std::make_unique<State>(tokenizer_->impl_->decoders, mode_);
  return rest;
}

}  // namespace reprise::tokenizer
