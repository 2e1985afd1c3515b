// Which tokens end a turn. Files of models often name one that ends a document, or none, though the chat
// template ends turns with another: such tokens are known by their text. The list is llama.cpp's
// (llama-vocab.cpp, since pull request 9609), without the names that other tokens have in some vocabulary.
#include <algorithm>
#include <string_view>

#include "tokenizer/tokenizer_impl.h"

namespace reprise::tokenizer {
namespace {

constexpr std::string_view kEndTexts[] = {"<|eot_id|>",
                                          "<|eom_id|>",
                                          "<|im_end|>",
                                          "<|end|>",
                                          "<|return|>",
                                          "<|call|>",
                                          "<|calls|>",
                                          "<|flush|>",
                                          "<end_of_turn>",
                                          "<turn|>",
                                          "<|endoftext|>",
                                          "<|end_of_text|>",
                                          "</s>",
                                          "<eos>",
                                          "<EOT>",
                                          "_<EOT>",
                                          "[EOT]",
                                          "[EOS]",
                                          "<|eot|>",
                                          "<|eom|>",
                                          "<end_of_utterance>",
                                          "<|end_of_sentence|>",
                                          "<｜end▁of▁sentence｜>"};

}  // namespace

std::vector<int32_t> Tokenizer::end_of_turn_ids() const {
  std::vector<int32_t> ids = impl_->end_ids;
  if (const auto eos = eos_id()) ids.push_back(*eos);
  for (const std::string_view text : kEndTexts) {
    const AddedToken* token = impl_->added.find(text);
    if (token == nullptr) continue;
    // In the harmony format <|end|> ends a message, and others follow in the same turn.
    const bool harmony =
        impl_->added.find("<|return|>") != nullptr && impl_->added.find("<|call|>") != nullptr;
    if (text != "<|end|>" || !harmony) ids.push_back(token->id);
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

}  // namespace reprise::tokenizer
