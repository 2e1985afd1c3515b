// Any vocabulary as a GGUF file may carry it: an Error, or a tokenizer that encodes and decodes whatever it
// is given, streaming and at once alike.
//
// The input is lines. The first: model (g gpt2, l llama, t t5, other: as it is), then flags by bits, then the
// name of `pre`. Each line after it is a token (its first character: the type, as a digit), up to an empty
// line; then merges, up to an empty line; the rest is text to encode.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/gguf_vocab.h"
#include "fuzz/amplify.h"
#include "tokenizer/streaming_decoder.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/utf8.h"

namespace {

using reprise::GgufTokenType;
using reprise::GgufVocab;
using reprise::tokenizer::StreamingDecoder;
using reprise::tokenizer::Tokenizer;

constexpr ptrdiff_t kMostStreamed = 100'000;  // the last ids of a long text; all of it is encoded

std::string_view take_line(std::string_view& rest) {
  const size_t end = rest.find('\n');
  const std::string_view line = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  return line;
}

GgufVocab read_vocab(std::string_view& rest) {
  GgufVocab vocab;
  const std::string_view head = take_line(rest);
  const char model = head.empty() ? 'g' : head[0];
  vocab.model = model == 'g' ? "gpt2" : model == 'l' ? "llama" : model == 't' ? "t5" : std::string(1, model);
  const unsigned flags = head.size() > 1 ? static_cast<unsigned char>(head[1]) : 0;
  if (head.size() > 2) vocab.pre = head.substr(2);
  while (!rest.empty()) {
    const std::string_view line = take_line(rest);
    if (line.empty()) break;
    vocab.types.push_back(static_cast<GgufTokenType>(line[0] - '0'));
    vocab.tokens.emplace_back(line.substr(1));
    if (model != 'g') vocab.scores.push_back(-static_cast<float>(vocab.tokens.size() % 97));
  }
  while (!rest.empty()) {
    const std::string_view line = take_line(rest);
    if (line.empty()) break;
    vocab.merges.emplace_back(line);
  }
  const auto last = static_cast<int32_t>(vocab.tokens.size()) - 1;
  if (flags & 1) vocab.bos_id = 0;
  if (flags & 2) vocab.eos_id = last;
  if (flags & 4) vocab.unk_id = 0;
  if (flags & 8) vocab.add_bos = true;
  if (flags & 16) vocab.add_space_prefix = false;
  if (flags & 32) vocab.types.clear();
  if (flags & 64) vocab.remove_extra_whitespaces = true;
  return vocab;
}

void check_stream(const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  StreamingDecoder decoder(tokenizer, false);
  std::string streamed;
  for (const int32_t id : ids) streamed += decoder.push(id);
  streamed += decoder.flush();
  // Bad byte tokens differ (streaming_decoder.h), and only there is a U+FFFD.
  if (streamed != tokenizer.decode(ids, false) &&
      streamed.find(reprise::tokenizer::kReplacementCharacter) == std::string::npos)
    std::abort();
  if (!reprise::tokenizer::is_valid_utf8(streamed)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string input = reprise::fuzz::amplified(data, size);
  std::string_view rest = input;
  const GgufVocab vocab = read_vocab(rest);
  try {
    const Tokenizer tokenizer = Tokenizer::from_gguf(vocab);
    for (const std::string_view text :
         {std::string_view(
              "Hello  World, don't stop: a1b2 \n\tna\xC3\xAFve \xE4\xBD\xA0 \xF0\x9F\x98\x80 <s></s> \xFF"),
          rest}) {
      std::vector<int32_t> ids = tokenizer.encode(text);
      for (const int32_t id : ids)
        if (id < 0 || id >= tokenizer.vocab_size()) std::abort();
      for (const char c : text.substr(0, 256))
        ids.push_back(static_cast<unsigned char>(c) % (tokenizer.vocab_size() + 1));
      if (ssize(ids) > kMostStreamed) ids.erase(ids.begin(), ids.end() - kMostStreamed);
      check_stream(tokenizer, ids);
    }
  } catch (const reprise::Error&) {
  }
  return 0;
}
