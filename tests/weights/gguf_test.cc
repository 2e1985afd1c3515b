#include "weights/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "tests/weights/file_builders.h"
#include "weights/gguf_vocab.h"

namespace reprise::weights {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr uint32_t kF32 = 0, kQ8_0 = 8;

std::string error_of_file(const std::string& file) {
  return error_of<Error>([&] { parse_gguf(as_bytes(file), "x.gguf"); });
}

GgufBuilder small_file() {
  GgufBuilder builder;
  builder.text("general.architecture", "llama").u32("n", 7).f32("f", 0.5f).boolean("b", true);
  builder.texts("words", {"one", "", "three"})
      .numbers<int32_t>("ids", 5, {3, -4})
      .numbers<float>("scores", 6, {1.5f});
  builder.tensor("a", {3, 2}, kF32, float_bytes({1, 2, 3, 4, 5, 6}))
      .tensor("b", {32, 1}, kQ8_0, std::string(34, '\0'));
  return builder;
}

TEST(Gguf, ReadsMetadataAndTensorsOfBothVersions) {
  for (uint32_t version : {2u, 3u}) {
    GgufBuilder builder = small_file();
    builder.version = version;
    const std::string file = builder.build();
    const GgufContents contents = parse_gguf(as_bytes(file), "x.gguf");
    const GgufMetadata& metadata = contents.metadata;
    EXPECT_EQ(contents.version, version);
    EXPECT_EQ(metadata.string("general.architecture"), "llama");
    EXPECT_EQ(metadata.integer("n"), 7);
    EXPECT_EQ(metadata.number("f"), 0.5);
    EXPECT_EQ(metadata.number("n"), 7.0);
    EXPECT_EQ(metadata.boolean("b"), true);
    EXPECT_EQ(metadata.integer("absent"), std::nullopt);
    EXPECT_THAT(metadata.strings("words").value(), ElementsAre("one", "", "three"));
    EXPECT_THAT(metadata.integers("ids").value(), ElementsAre(3, -4));
    EXPECT_THAT(metadata.floats("scores").value(), ElementsAre(1.5f));
    EXPECT_EQ(contents.tensors.at("a").info.shape, (std::vector<int64_t>{2, 3}));
    EXPECT_EQ(contents.tensors.at("a").data.size(), 24u);
    EXPECT_EQ(contents.tensors.at("b").data.size(), 34u);
  }
}

TEST(Gguf, GettersRefuseOtherTypes) {
  const std::string file = small_file().build();
  const GgufContents contents = parse_gguf(as_bytes(file), "x.gguf");
  const GgufMetadata& metadata = contents.metadata;
  EXPECT_THAT(error_of<Error>([&] { metadata.integer("f"); }),
              HasSubstr("'f' is of type float32, expected an integer"));
  EXPECT_THAT(error_of<Error>([&] { metadata.string("n"); }), HasSubstr("expected a string"));
  EXPECT_THAT(error_of<Error>([&] { metadata.strings("ids"); }), HasSubstr("expected a list of strings"));
  EXPECT_THAT(error_of<Error>([&] { metadata.integers("words"); }), HasSubstr("expected a list of integers"));
  EXPECT_THAT(error_of<Error>([&] { metadata.boolean("words"); }), HasSubstr("expected a boolean"));
}

TEST(Gguf, RefusesTruncationAnywhere) {
  const std::string file = small_file().build();
  const size_t needed = file.size() - (64 - 34);  // the padding after the last tensor may be missing
  for (size_t size = 0; size < needed; ++size) {
    const std::string cut = file.substr(0, size);
    EXPECT_THROW(parse_gguf(as_bytes(cut), "cut"), Error) << size;
  }
  const std::string whole = file.substr(0, needed);
  EXPECT_NO_THROW(parse_gguf(as_bytes(whole), "whole"));
}

TEST(Gguf, RefusesHostileCounts) {
  constexpr uint64_t kHuge = uint64_t{1} << 60;
  EXPECT_THAT(error_of_file(GgufBuilder().claim(0, kHuge).build()), HasSubstr("number of metadata values"));
  EXPECT_THAT(error_of_file(GgufBuilder().claim(kHuge, 0).build()), HasSubstr("number of tensors"));
  std::string array;
  append<uint32_t>(array, 4);
  append<uint64_t>(array, kHuge);
  EXPECT_THAT(error_of_file(GgufBuilder().raw_value("a", 9, array).build()),
              HasSubstr("length of a metadata array"));
  std::string words;
  append<uint32_t>(words, 8);
  append<uint64_t>(words, ~uint64_t{0});
  EXPECT_THAT(error_of_file(GgufBuilder().raw_value("a", 9, words).build()),
              HasSubstr("length of a metadata array"));
  std::string text;
  append<uint64_t>(text, ~uint64_t{0});
  EXPECT_THAT(error_of_file(GgufBuilder().raw_value("a", 8, text).build()),
              HasSubstr("a metadata string needs"));
}

TEST(Gguf, RefusesDeepArraysUnknownTypesAndDuplicates) {
  std::string nested;
  for (int i = 0; i < 50; ++i) {
    append<uint32_t>(nested, 9);
    append<uint64_t>(nested, 1);
  }
  nested.append(64, '\0');
  EXPECT_THAT(error_of_file(GgufBuilder().raw_value("a", 9, nested).build()),
              HasSubstr("nests arrays deeper"));
  EXPECT_THAT(error_of_file(GgufBuilder().raw_value("a", 13, "").build()), HasSubstr("unknown type 13"));
  EXPECT_THAT(error_of_file(GgufBuilder().u32("a", 1).u32("a", 2).build()), HasSubstr("'a' is there twice"));
  const std::string data = float_bytes({1});
  EXPECT_THAT(error_of_file(GgufBuilder().tensor("t", {1}, kF32, data).tensor("t", {1}, kF32, data).build()),
              HasSubstr("'t' is there twice"));
}

TEST(Gguf, RefusesWrongTensors) {
  const auto tensor = [](const std::vector<uint64_t>& dims, uint32_t type, uint64_t offset) {
    return error_of_file(GgufBuilder()
                             .tensor("pad", {8}, kF32, std::string(32, '\0'))
                             .tensor_at("t", dims, type, offset)
                             .build());
  };
  EXPECT_THAT(tensor({8}, kF32, 0), HasSubstr("overlaps"));
  EXPECT_THAT(tensor({8}, kF32, 32), HasSubstr("truncated"));
  EXPECT_THAT(tensor({8}, kF32, ~uint64_t{31}), HasSubstr("truncated"));
  EXPECT_THAT(tensor({1}, kF32, 4), HasSubstr("no multiple of the alignment"));
  EXPECT_THAT(tensor({1}, 4, 32), HasSubstr("ggml type 4"));
  EXPECT_THAT(tensor({33}, kQ8_0, 32), HasSubstr("no whole blocks of 32"));
  EXPECT_THAT(tensor({uint64_t{1} << 40, uint64_t{1} << 40}, kF32, 32), HasSubstr("too large"));
  EXPECT_THAT(tensor({0}, kF32, 32), HasSubstr("dimension of 0"));
  EXPECT_THAT(tensor({}, kF32, 32), HasSubstr("0 dimensions"));
  EXPECT_THAT(tensor({1, 1, 1, 1, 1}, kF32, 32), HasSubstr("5 dimensions"));
}

TEST(Gguf, RefusesOtherFormatsVersionsAndAlignments) {
  EXPECT_THAT(error_of_file("GGML"), HasSubstr("no GGUF file"));
  EXPECT_THAT(error_of_file(""), HasSubstr("is empty"));
  GgufBuilder builder;
  builder.version = 1;
  EXPECT_THAT(error_of_file(builder.build()), HasSubstr("version 1"));
  builder.version = 0x03000000;
  EXPECT_THAT(error_of_file(builder.build()), HasSubstr("big-endian"));
  for (uint32_t alignment : {0u, 4u, 48u, 1u << 31})
    EXPECT_THAT(error_of_file(GgufBuilder().u32("general.alignment", alignment).build()),
                HasSubstr("general.alignment"));
  builder = {};
  builder.alignment = 64;
  builder.u32("general.alignment", 64)
      .tensor("a", {1}, kF32, float_bytes({1}))
      .tensor("b", {1}, kF32, float_bytes({2}));
  EXPECT_EQ(error_of_file(builder.build()), "");
}

GgufVocab vocab_of(const GgufBuilder& builder) {
  const std::string file = builder.build();
  return read_gguf_vocab(parse_gguf(as_bytes(file), "x.gguf").metadata);
}

TEST(GgufVocab, ReadsWhatIsThere) {
  GgufBuilder builder;
  builder.text("tokenizer.ggml.model", "gpt2").text("tokenizer.ggml.pre", "smollm");
  builder.texts("tokenizer.ggml.tokens", {"a", "b", "ab"})
      .numbers<int32_t>("tokenizer.ggml.token_type", 5, {3, 1, 0});
  builder.texts("tokenizer.ggml.merges", {"a b"}).u32("tokenizer.ggml.eos_token_id", 2);
  builder.u32("tokenizer.ggml.padding_token_id", 0xffffffff).boolean("tokenizer.ggml.add_bos_token", false);
  const GgufVocab vocab = vocab_of(builder);
  EXPECT_THAT(vocab.tokens, ElementsAre("a", "b", "ab"));
  EXPECT_THAT(vocab.types, ElementsAre(GgufTokenType::control, GgufTokenType::normal, GgufTokenType::normal));
  EXPECT_THAT(vocab.merges, ElementsAre("a b"));
  EXPECT_EQ(vocab.eos_id, 2);
  EXPECT_EQ(vocab.pad_id, std::nullopt);
  EXPECT_EQ(vocab.add_bos, false);
  EXPECT_EQ(vocab.add_eos, std::nullopt);
}

TEST(GgufVocab, RefusesWhatDoesNotFit) {
  const auto with = [](auto&& change) {
    GgufBuilder builder;
    builder.text("tokenizer.ggml.model", "llama").texts("tokenizer.ggml.tokens", {"a", "b"});
    change(builder);
    return error_of<Error>([&] { vocab_of(builder); });
  };
  EXPECT_THAT(with([](auto& b) { b.template numbers<float>("tokenizer.ggml.scores", 6, {1}); }),
              HasSubstr("1 entries for 2 tokens"));
  EXPECT_THAT(with([](auto& b) {
                b.template numbers<int32_t>("tokenizer.ggml.token_type", 5, {1, 9});
              }),
              HasSubstr("holds 9"));
  EXPECT_THAT(with([](auto& b) { b.u32("tokenizer.ggml.bos_token_id", 2); }),
              HasSubstr("outside the 2 tokens"));
  EXPECT_THAT(error_of<Error>([] { vocab_of(GgufBuilder()); }), HasSubstr("no tokenizer"));
}

// A sparse file costs nothing to make, so the bytes left alone bound nothing: a count of 2^30 tensors took
// 100 GB.
TEST(Gguf, CountsAreBoundedInAFileOfAnySize) {
  TemporaryFolder folder;
  const auto error = [&](std::string head) {
    const auto path = folder.write("m.gguf", head);
    std::filesystem::resize_file(path, uint64_t{64} << 30);
    return error_of<Error>([&] { GgufFile file(path); });
  };
  const std::string no_values = GgufBuilder().build().substr(0, 24);
  const auto with_counts = [&](uint64_t tensors, uint64_t values) {
    std::string head = no_values;
    std::memcpy(head.data() + 8, &tensors, 8);
    std::memcpy(head.data() + 16, &values, 8);
    return head;
  };
  EXPECT_THAT(error(with_counts(uint64_t{1} << 30, 0)),
              HasSubstr("the number of tensors is 1073741824, at most"));
  EXPECT_THAT(error(with_counts(0, uint64_t{1} << 30)),
              HasSubstr("the number of metadata values is 1073741824"));
  std::string array = with_counts(0, 1);
  append<uint64_t>(array, 1);
  array += "a";
  append<uint32_t>(array, 9);
  append<uint32_t>(array, 8);
  append<uint64_t>(array, uint64_t{1} << 30);
  EXPECT_THAT(error(array), HasSubstr("the length of a metadata array is 1073741824, at most"));
  std::string name = with_counts(0, 1);
  append<uint64_t>(name, uint64_t{1} << 27);
  EXPECT_THAT(error(name), HasSubstr("a metadata key has 134217728 bytes, at most 1024"));
  std::string text = with_counts(0, 1);
  append<uint64_t>(text, 1);
  text += "a";
  append<uint32_t>(text, 8);
  append<uint64_t>(text, uint64_t{1} << 30);
  EXPECT_THAT(error(text), HasSubstr("a metadata string needs 1073741824 bytes"));
}

}  // namespace
}  // namespace reprise::weights
