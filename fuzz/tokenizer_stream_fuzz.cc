// Any ids and any text through tokenizers of the usual kinds of decoder: streamed text equals decoded text
// (where byte tokens are not valid UTF-8, that of a naive reference), is valid UTF-8 part by part, holds back
// no more than an unfinished character, and a byte-level tokenizer gives back the text it was given.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "tests/tokenizer/byte_runs.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/streaming_decoder.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/utf8.h"

namespace {

using reprise::tokenizer::StreamingDecoder;
using reprise::tokenizer::Tokenizer;

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

Tokenizer make_byte_level() {
  std::string vocab;
  for (int byte = 0; byte < 256; ++byte) {
    vocab += quoted(reprise::tokenizer::byte_level_character(static_cast<unsigned char>(byte))) + ":" +
             std::to_string(byte) + ",";
  }
  return Tokenizer::from_json(
      R"({"model":{"type":"BPE","vocab":{)" + vocab + R"("th":256,"the":257,"Ġthe":258},)" +
          R"("merges":["t h","th e","Ġ the"]},"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},)" +
          R"("decoder":{"type":"ByteLevel"}})",
      "byte level");
}

// Ids below 256 are the bytes.
Tokenizer make_byte_fallback(const std::string& decoders) {
  std::string vocab = R"("<unk>":256,"▁":257,"a":258,"é":259,"▁a":260)";
  for (int byte = 0; byte < 256; ++byte) vocab += fmt::format(",\"<0x{:02X}>\":{}", byte, byte);
  return Tokenizer::from_json(
      R"({"normalizer":{"type":"Prepend","prepend":"▁"},"model":{"type":"BPE","unk_token":"<unk>",)"
      R"("byte_fallback":true,"fuse_unk":true,"merges":["▁ a"],"vocab":{)" +
          vocab + R"(}},"added_tokens":[{"id":261,"content":"</s>","special":true}],)" +
          R"("decoder":{"type":"Sequence","decoders":[)" + decoders + "]}}",
      "byte fallback");
}

Tokenizer make_metaspace() {
  return Tokenizer::from_json(
      R"({"pre_tokenizer":{"type":"Metaspace","replacement":"▁"},"decoder":{"type":"Metaspace","replacement":"▁"},)"
      R"("model":{"type":"Unigram","unk_id":0,"vocab":[["<unk>",0],["▁",-2],["a",-3],["▁a",-1],["▁▁",-4]]}})",
      "metaspace");
}

void check(const Tokenizer& tokenizer, const std::vector<int32_t>& ids, bool skip_special_tokens) {
  StreamingDecoder decoder(tokenizer, skip_special_tokens);
  std::string streamed;
  const auto take = [&](const std::string& part) {
    if (!reprise::tokenizer::is_valid_utf8(part)) std::abort();
    streamed += part;
  };
  const size_t middle = ids.size() * 2 / 3;
  for (size_t at = 0; at < ids.size(); ++at) {
    if (at == middle) {
      // Missing: at most an unfinished character, or the beginning of what Replace looks for.
      const std::vector<int32_t> begin(ids.begin(), ids.begin() + static_cast<ptrdiff_t>(at));
      const auto known = reprise::tokenizer::repair_byte_runs(tokenizer, begin, skip_special_tokens, true);
      if (tokenizer.decode(known.ids, skip_special_tokens).size() > streamed.size() + 3) std::abort();
    }
    take(decoder.push(ids[at]));
  }
  take(decoder.flush());
  const auto runs = reprise::tokenizer::repair_byte_runs(tokenizer, ids, skip_special_tokens);
  if (streamed != tokenizer.decode(runs.ids, skip_special_tokens)) std::abort();
  if (runs.valid && streamed != tokenizer.decode(ids, skip_special_tokens)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Tokenizer byte_level = make_byte_level();
  static const Tokenizer llama = make_byte_fallback(
      R"({"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"},)"
      R"({"type":"Strip","content":" ","start":1,"stop":1})");
  static const Tokenizer replaced = make_byte_fallback(
      R"({"type":"ByteFallback"},{"type":"Fuse"},{"type":"Replace","pattern":{"String":"aéa"},"content":"é"})");
  static const Tokenizer metaspace_bytes =
      make_byte_fallback(R"({"type":"ByteFallback"},{"type":"Metaspace","replacement":"▁"})");
  static const Tokenizer metaspace = make_metaspace();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const Tokenizer* tokenizer : {&byte_level, &llama, &replaced, &metaspace_bytes, &metaspace}) {
    const bool skip = !text.empty() && (text[0] & 1) != 0;
    // Any ids: the bytes 1 to 6 are those behind the bytes.
    std::vector<int32_t> ids;
    for (const uint8_t byte : std::basic_string_view<uint8_t>(data, size))
      ids.push_back(byte >= 1 && byte <= 6 ? 255 + byte : byte);
    check(*tokenizer, ids, skip);
    check(*tokenizer, tokenizer->encode(text), skip);
  }
  if (byte_level.decode(byte_level.encode(text)) != reprise::tokenizer::replace_invalid_utf8(text))
    std::abort();
  return 0;
}
