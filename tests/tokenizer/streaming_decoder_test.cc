// The streaming decoder: what comes out after each token, stage by stage; and that all of it is the decoded
// text.
#include "tokenizer/streaming_decoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "core/error.h"
#include "core/json.h"
#include "tests/tokenizer/byte_runs.h"
#include "tests/tokenizer/cpu_time.h"
#include "tests/tokenizer/golden_cases.h"

namespace reprise::tokenizer {
namespace {

// A tokenizer with this "decoder" and these tokens, ids in their order; </s> is special.
Tokenizer with_decoder(const std::string& decoder, const std::vector<std::string>& tokens) {
  Json vocab = Json::object();
  for (const std::string& token : tokens) {
    const auto id = vocab.size();
    vocab[token] = id;
  }
  const Json file = {
      {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", Json::array()}}},
      {"added_tokens", {{{"id", tokens.size()}, {"content", "</s>"}, {"special", true}}}},
      {"decoder", parse_json(decoder, "decoder")},
  };
  return Tokenizer::from_json(file.dump(), "test");
}

std::string sequence(const std::string& decoders) {
  return R"({"type":"Sequence","decoders":[)" + decoders + "]}";
}
#define BYTE_FALLBACK R"({"type":"ByteFallback"})"
#define FUSE R"({"type":"Fuse"})"
#define STRIP_START R"({"type":"Strip","content":" ","start":1,"stop":0})"
#define METASPACE R"({"type":"Metaspace","replacement":"▁"})"
#define METASPACE_TO_SPACE R"({"type":"Replace","pattern":{"String":"▁"},"content":" "})"
const std::string kLlama = sequence(METASPACE_TO_SPACE "," BYTE_FALLBACK "," FUSE "," STRIP_START);

std::string byte_token(int byte) {
  return fmt::format("<0x{:02X}>", byte);
}

// Byte tokens first: the id of a byte is its value.
std::vector<std::string> with_bytes(std::vector<std::string> others) {
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) tokens.push_back(byte_token(byte));
  tokens.insert(tokens.end(), others.begin(), others.end());
  return tokens;
}

// What comes out after each token, and last what flush() gives.
std::vector<std::string> pieces(const Tokenizer& tokenizer, const std::vector<std::string>& tokens,
                                bool skip_special_tokens = true) {
  StreamingDecoder decoder(tokenizer, skip_special_tokens);
  std::vector<std::string> pieces;
  for (const std::string& token : tokens) pieces.push_back(decoder.push(*tokenizer.token_to_id(token)));
  pieces.push_back(decoder.flush());
  return pieces;
}
using Pieces = std::vector<std::string>;

TEST(StreamingDecoder, GivesOutWholeCharactersAtOnce) {
  const Tokenizer tokenizer = Tokenizer::load(golden_folder("bpe"));
  EXPECT_EQ(pieces(tokenizer, {"ð", "Ł", "ĺ", "Ģ", "ð"}), (Pieces{"", "", "", "😀", "", "\uFFFD"}));
  StreamingDecoder decoder(tokenizer);
  EXPECT_EQ(decoder.push(*tokenizer.token_to_id("ð")), "");
  EXPECT_EQ(decoder.flush(), "\uFFFD");
  EXPECT_EQ(decoder.push(*tokenizer.token_to_id("a")), "a");  // a new text
}

TEST(StreamingDecoder, ByteFallbackGivesOutACharacterWithItsLastByte) {
  const Tokenizer tokenizer = Tokenizer::load(golden_folder("sentencepiece"));
  EXPECT_EQ(pieces(tokenizer, {"<0xC3>", "<0xA9>", "a"}), (Pieces{"", "é", "a", ""}));
  EXPECT_EQ(pieces(tokenizer, {"<0xF0>", "<0x9F>", "<0x98>", "<0x80>", "<0xE4>", "<0xBD>", "<0xA0>"}),
            (Pieces{"", "", "", "😀", "", "", "你", ""}));
}

TEST(StreamingDecoder, ByteFallbackReplacesEachBadByteOnceItIsKnown) {
  const Tokenizer tokenizer = with_decoder(kLlama, with_bytes({"a"}));
  const auto run = [&](std::initializer_list<int> bytes, bool then_a = false) {
    std::vector<std::string> tokens;
    for (const int byte : bytes) tokens.push_back(byte_token(byte));
    if (then_a) tokens.push_back("a");
    return pieces(tokenizer, tokens);
  };
  const std::string one = "\uFFFD", two = one + one, three = two + one;
  EXPECT_EQ(run({0xC3, 0xA9, 0xFF}), (Pieces{"", "é", one, ""}));
  EXPECT_EQ(run({0x80, 0x41}), (Pieces{one, "A", ""}));
  EXPECT_EQ(run({0xC0, 0xAF}), (Pieces{one, one, ""}));                       // overlong
  EXPECT_EQ(run({0xE0, 0x80, 0x80}), (Pieces{"", two, one, ""}));             // overlong
  EXPECT_EQ(run({0xED, 0xA0, 0x80}), (Pieces{"", two, one, ""}));             // a surrogate
  EXPECT_EQ(run({0xF4, 0x90, 0x80, 0x80}), (Pieces{"", two, one, one, ""}));  // above 10FFFF
  EXPECT_EQ(run({0xF5}), (Pieces{one, ""}));
  EXPECT_EQ(run({0xE2, 0x82, 0xE2, 0x82, 0xAC}), (Pieces{"", "", two, "", "€", ""}));
  EXPECT_EQ(run({0xE2, 0x82, 0x41}), (Pieces{"", "", two + "A", ""}));
  EXPECT_EQ(run({0xF0, 0x9F, 0x98}), (Pieces{"", "", "", three}));
  EXPECT_EQ(run({0xF0, 0x9F, 0x98}, true), (Pieces{"", "", "", three + "a", ""}));
  // The whole text is that of the library, where one bad byte spoils its run.
  EXPECT_EQ(tokenizer.decode(std::vector<int32_t>{0xC3, 0xA9, 0xFF, 256}), three + "a");
}

TEST(StreamingDecoder, ASpecialTokenThatIsLeftOutEndsNoRun) {
  const Tokenizer tokenizer = with_decoder(kLlama, with_bytes({"a"}));
  EXPECT_EQ(pieces(tokenizer, {"<0xC3>", "</s>", "<0xA9>"}), (Pieces{"", "", "é", ""}));
  EXPECT_EQ(pieces(tokenizer, {"<0xC3>", "</s>", "<0xA9>"}, false), (Pieces{"", "\uFFFD</s>", "\uFFFD", ""}));
}

// Streamed text is decoded text where runs are valid, and what the naive reference says where they are not;
// after each token nothing is held back but an unfinished character.
TEST(StreamingDecoder, ByteFallbackEqualsANaiveReferenceOnRandomTokens) {
  const std::string decoders[] = {kLlama, sequence(BYTE_FALLBACK "," METASPACE),
                                  sequence(METASPACE_TO_SPACE "," BYTE_FALLBACK "," FUSE), BYTE_FALLBACK,
                                  sequence(FUSE "," BYTE_FALLBACK)};
  const std::string characters[] = {"a",      " ",      "é",      "\u07FF", "€",         "你",
                                    "\uD7FF", "\uE000", "\uFFFD", "😀",      "\U0010FFFF"};
  const std::vector<std::string> others = {"a",      "▁",    "▁the",    "é", "你好",
                                           "<0xZZ>", "<0x4", "<0x41>>", "<", "\uFFFD"};
  std::mt19937 random(11);
  const auto below = [&](size_t limit) { return static_cast<size_t>(random() % limit); };
  for (const std::string& decoder : decoders) {
    const bool fused_before = decoder == decoders[4];
    const Tokenizer tokenizer = with_decoder(decoder, with_bytes(others));
    const auto special = static_cast<int32_t>(256 + others.size());
    size_t valid = 0, invalid = 0;
    for (int round = 0; round < 4000; ++round) {
      std::vector<int32_t> ids;
      const bool only_valid = below(2) == 0;
      const bool skip = below(2) == 0;
      for (size_t part = below(8); part > 0; --part) {
        const size_t kind = below(only_valid ? 5 : 7);
        if (kind < 3) {
          for (const char c : characters[below(std::size(characters))]) {
            ids.push_back(static_cast<unsigned char>(c));
            if (skip && below(8) == 0) ids.push_back(below(2) == 0 ? special : special + 1);  // + 1: no token
          }
        } else if (kind == 3) {
          ids.push_back(256 + static_cast<int32_t>(below(others.size())));
        } else if (kind == 4) {
          ids.push_back(special);
        } else if (kind == 5) {
          ids.push_back(static_cast<int32_t>(128 + below(128)));
        } else if (!ids.empty()) {
          ids.pop_back();
        }
      }
      const ByteRuns runs = repair_byte_runs(tokenizer, ids, skip);
      (runs.valid ? valid : invalid) += 1;
      const std::string streamed = decode_streaming(tokenizer, ids, skip);
      if (fused_before || runs.valid) {
        ASSERT_EQ(streamed, tokenizer.decode(ids, skip)) << decoder;
      }
      if (fused_before) continue;
      ASSERT_EQ(streamed, tokenizer.decode(runs.ids, skip)) << decoder;
      StreamingDecoder stream(tokenizer, skip);
      std::string so_far;
      for (size_t count = 1; count <= ids.size(); ++count) {
        so_far += stream.push(ids[count - 1]);
        const ByteRuns known =
            repair_byte_runs(tokenizer, std::vector<int32_t>(ids.begin(), ids.begin() + count), skip, true);
        ASSERT_LE(known.unfinished, 3u);
        ASSERT_EQ(so_far, tokenizer.decode(known.ids, skip)) << decoder;
      }
    }
    EXPECT_GT(valid, 1500u);
    EXPECT_GT(invalid, 500u);
  }
}

// Each stage gives out what later tokens cannot alter, in fragments too (behind ByteFallback and Fuse).
TEST(StreamingDecoder, NoStageHoldsBackMoreThanItMust) {
  struct Case {
    std::string decoder;
    std::vector<std::string> tokens;
    Pieces pieces;
  };
  const auto replace = [](const std::string& text, const std::string& content) {
    return R"({"type":"Replace","pattern":{"String":")" + text + R"("},"content":")" + content + R"("})";
  };
  const std::string bpe = R"({"type":"BPEDecoder","suffix":"</w>"})";
  const Case cases[] = {
      {sequence(FUSE "," + replace("abc", "X")), {"a", "b", "z", "ab", "c"}, {"", "", "abz", "", "X", ""}},
      {sequence(FUSE "," + replace("abab", "X")), {"aba", "a", "bab"}, {"", "aba", "X", ""}},
      {sequence(FUSE "," + replace("aab", "X")), {"a", "a", "a", "b"}, {"", "", "a", "X", ""}},
      {sequence(FUSE "," + replace("aa", "X")), {"a", "a", "a"}, {"", "X", "", "a"}},
      {replace("abc", "X"), {"a", "abc", "bc"}, {"a", "X", "bc", ""}},  // never across tokens
      {sequence(BYTE_FALLBACK "," + replace("éa", "X")),
       {"<0xC3>", "<0xA9>", "<0x62>", "<0xC3>", "<0xA9>"},
       {"", "", "éb", "", "", "é"}},
      {sequence(FUSE "," METASPACE), {"▁a", "▁b"}, {"a", "b", ""}},  // all is the first token
      {sequence(BYTE_FALLBACK "," METASPACE),
       {"▁a", "<0x62>", "<0xC3>", "<0xA9>", "▁b"},
       {"a", "b", "", "é", " b", ""}},
      {bpe, {"a", "b</w>", "c", "d</w>", "e</w>z"}, {"a", "b", " c", "d", " e", "z"}},
      {bpe, {"ab</w", ">"}, {"ab</w", ">", ""}},
      {sequence(FUSE "," + bpe), {"a<", "b", "c</w", ">d"}, {"a", "<b", "c", "", "d"}},
      {R"({"type":"BPEDecoder","suffix":""})", {"ab", "a"}, {"", " a b ", "a"}},
      {sequence(FUSE R"(,{"type":"Strip","content":"a","start":0,"stop":2})"),
       {"a", "aa", "b", "a", "a"},
       {"", "a", "aab", "", "", ""}},
      {sequence(FUSE R"(,{"type":"Strip","content":"a","start":2,"stop":0})"),
       {"a", "aa", "ba", "a"},
       {"", "a", "ba", "a", ""}},
      {sequence(BYTE_FALLBACK R"(,{"type":"ByteLevel"})"),
       {"<0xC3>", "<0xA9>", "<0x20>", "<0x62>"},
       {"", "", "é ", "b", ""}},
      {sequence(FUSE "," BYTE_FALLBACK), {"a", "<0x", "b", "c"}, {"a", "<0x", "b", "c", ""}},
  };
  for (const Case& one : cases) {
    std::vector<std::string> tokens;
    for (const std::string& token : one.tokens)
      if (std::find(tokens.begin(), tokens.end(), token) == tokens.end()) tokens.push_back(token);
    const Tokenizer tokenizer = with_decoder(one.decoder, tokens);
    const Pieces got = pieces(tokenizer, one.tokens);
    EXPECT_EQ(got, one.pieces) << one.decoder;
    std::vector<int32_t> ids;
    for (const std::string& token : one.tokens) ids.push_back(*tokenizer.token_to_id(token));
    std::string joined;
    for (const std::string& piece : got) joined += piece;
    EXPECT_EQ(joined, tokenizer.decode(ids)) << one.decoder;
  }
}

// Replace behind Fuse, against a search in the whole text; what is held is the longest end that may become a
// match.
TEST(StreamingDecoder, ReplaceOfALiteralEqualsASearchInTheWholeText) {
  std::mt19937 random(3);
  const auto below = [&](size_t limit) { return static_cast<size_t>(random() % limit); };
  const auto word = [&](size_t length) {
    std::string word;
    for (; length > 0; --length) word += below(4) == 0 ? "é" : below(2) == 0 ? "a" : "b";
    return word;
  };
  for (int round = 0; round < 300; ++round) {
    const std::string literal = word(1 + below(6));
    std::vector<std::string> tokens;
    while (tokens.size() < 12) {
      const std::string token = word(1 + below(3));
      if (std::find(tokens.begin(), tokens.end(), token) == tokens.end()) tokens.push_back(token);
    }
    const Tokenizer tokenizer = with_decoder(
        sequence(FUSE R"(,{"type":"Replace","pattern":{"String":")" + literal + R"("},"content":"X"})"),
        tokens);
    StreamingDecoder decoder(tokenizer);
    std::string text, streamed, expected;
    const auto replaced = [&](size_t& end) {
      std::string out;
      size_t at = 0;
      for (size_t found = text.find(literal); found != std::string::npos; found = text.find(literal, at)) {
        out += text.substr(at, found - at) + "X";
        at = found + literal.size();
      }
      end = out.size();
      return out + text.substr(at);
    };
    for (int count = 0; count < 40; ++count) {
      const std::string& token = tokens[below(tokens.size())];
      text += token;
      streamed += decoder.push(*tokenizer.token_to_id(token));
      size_t behind_match = 0;
      expected = replaced(behind_match);
      size_t held = std::min(literal.size() - 1, expected.size() - behind_match);
      while (!expected.ends_with(literal.substr(0, held))) --held;
      ASSERT_EQ(streamed, expected.substr(0, expected.size() - held)) << literal << " in " << text;
    }
    ASSERT_EQ(streamed + decoder.flush(), expected);
  }
}

// A stage's work is linear in the text: 200,000 tokens that all are held back and given out again.
TEST(StreamingDecoder, TakesLinearTime) {
  constexpr int kTokens = kSlowBuild > 1 ? 20'000 : 200'000;
  const std::string run(kTokens / 2, 'a');
  const std::string decoders[] = {
      sequence(FUSE R"(,{"type":"Strip","content":"a","start":0,"stop":1000000000})"),
      sequence(FUSE R"(,{"type":"Replace","pattern":{"String":")" + run + R"(b"},"content":"X"})"),
      sequence(FUSE R"(,{"type":"BPEDecoder","suffix":"a"})"), sequence(BYTE_FALLBACK "," METASPACE)};
  for (const std::string& decoder : decoders) {
    const Tokenizer tokenizer = with_decoder(decoder, {"<0x61>", "a", "b"});
    EXPECT_LT(cpu_seconds([&] {
                StreamingDecoder stream(tokenizer);
                const int32_t id = decoder == decoders[3] ? 0 : 1;
                for (int count = 0; count < kTokens; ++count) stream.push(id);
                stream.flush();
              }),
              0.5 * kSlowBuild)
        << decoder.substr(0, 80);
  }
}

}  // namespace
}  // namespace reprise::tokenizer
