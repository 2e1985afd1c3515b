// Any bytes as a tokenizer.json (up to the first zero byte; a text to encode behind it): an Error, or a
// tokenizer that encodes and decodes whatever it is given, streaming and at once alike.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "tokenizer/streaming_decoder.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/utf8.h"

namespace {

using reprise::tokenizer::StreamingDecoder;
using reprise::tokenizer::Tokenizer;

void check_stream(const Tokenizer& tokenizer, const std::vector<int32_t>& ids, bool skip_special_tokens) {
  StreamingDecoder decoder(tokenizer, skip_special_tokens);
  std::string streamed;
  for (const int32_t id : ids) streamed += decoder.push(id);
  streamed += decoder.flush();
  // Bad byte tokens differ (streaming_decoder.h), and only there is a U+FFFD.
  if (streamed != tokenizer.decode(ids, skip_special_tokens) &&
      streamed.find(reprise::tokenizer::kReplacementCharacter) == std::string::npos)
    std::abort();
  if (!reprise::tokenizer::is_valid_utf8(streamed)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr size_t kMostText = 256;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t end = input.find('\0');
  const std::string_view json = input.substr(0, end);
  std::string text = "Hello  World, don't stop: a1b2 \n\tnaïve 你好 😀 <s></s> \xFF";
  if (end != std::string_view::npos) text += input.substr(end + 1, kMostText);
  try {
    const Tokenizer tokenizer = Tokenizer::from_json(json, "tokenizer.json");
    std::vector<int32_t> ids = tokenizer.encode(text);
    for (const int32_t id : ids) {
      if (id < 0 || id >= tokenizer.vocab_size()) std::abort();
    }
    for (const char c : text) ids.push_back(static_cast<unsigned char>(c) % (tokenizer.vocab_size() + 1));
    check_stream(tokenizer, ids, false);
    check_stream(tokenizer, ids, true);
    for (const int32_t id : ids) tokenizer.token_bytes(id);
  } catch (const reprise::Error&) {
  }
  return 0;
}
