// Any ids and any text through tokenizers of the three usual kinds of decoder: streamed text equals decoded
// text, is valid UTF-8 part by part, and a byte-level tokenizer gives back the text it was given.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
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

Tokenizer make_byte_fallback() {
  std::string vocab = R"("<unk>":0,"▁":1,"a":2,"é":3,"▁a":4)";
  for (int byte = 0; byte < 256; ++byte) vocab += fmt::format(",\"<0x{:02X}>\":{}", byte, byte + 5);
  return Tokenizer::from_json(
      R"({"normalizer":{"type":"Prepend","prepend":"▁"},"model":{"type":"BPE","unk_token":"<unk>",)"
      R"("byte_fallback":true,"fuse_unk":true,"merges":["▁ a"],"vocab":{)" +
          vocab +
          R"(}},"decoder":{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},)" +
          R"({"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":1}]}})",
      "byte fallback");
}

Tokenizer make_metaspace() {
  return Tokenizer::from_json(
      R"({"pre_tokenizer":{"type":"Metaspace","replacement":"▁"},"decoder":{"type":"Metaspace","replacement":"▁"},)"
      R"("model":{"type":"Unigram","unk_id":0,"vocab":[["<unk>",0],["▁",-2],["a",-3],["▁a",-1],["▁▁",-4]]}})",
      "metaspace");
}

void check(const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  StreamingDecoder decoder(tokenizer);
  std::string streamed;
  const auto take = [&](const std::string& part) {
    if (!reprise::tokenizer::is_valid_utf8(part)) std::abort();
    streamed += part;
  };
  for (const int32_t id : ids) take(decoder.push(id));
  take(decoder.flush());
  if (streamed != tokenizer.decode(ids)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Tokenizer byte_level = make_byte_level();
  static const Tokenizer byte_fallback = make_byte_fallback();
  static const Tokenizer metaspace = make_metaspace();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const Tokenizer* tokenizer : {&byte_level, &byte_fallback, &metaspace}) {
    std::vector<int32_t> ids;
    for (const uint8_t byte : std::basic_string_view<uint8_t>(data, size)) ids.push_back(byte);
    check(*tokenizer, ids);
    check(*tokenizer, tokenizer->encode(text));
  }
  if (byte_level.decode(byte_level.encode(text)) != reprise::tokenizer::replace_invalid_utf8(text))
    std::abort();
  return 0;
}
