#include "weights/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "tests/weights/file_builders.h"

namespace reprise::weights {
namespace {

using testing::HasSubstr;

std::string error_of_header(std::string_view header, std::string_view data) {
  const std::string file = safetensors(header, data);
  return error_of<Error>([&] { parse_safetensors(as_bytes(file), "x.safetensors"); });
}

TEST(Safetensors, ReadsTensorsOfEveryKnownType) {
  const std::string data = float_bytes({1, 2, 3, 4, 5, 6}) + std::string(8, '\1');
  const std::string file = safetensors(
      R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
      R"("b":{"dtype":"BF16","shape":[2],"data_offsets":[24,28]},"c":{"dtype":"U8","shape":[],"data_offsets":[28,29]},)"
      R"("d":{"dtype":"I8","shape":[3],"data_offsets":[29,32]},"e":{"dtype":"I64","shape":[0,7],"data_offsets":[32,32]}}  )",
      data);
  const auto tensors = parse_safetensors(as_bytes(file), "x.safetensors");
  ASSERT_EQ(tensors.size(), 5u);
  const FileTensor& a = tensors.at("a");
  EXPECT_EQ(a.info.type, StoredType::f32);
  EXPECT_EQ(a.info.shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(std::memcmp(a.data.data(), data.data(), 24), 0);
  EXPECT_EQ(tensors.at("c").info.elements(), 1);
  EXPECT_TRUE(tensors.at("e").data.empty());
}

TEST(Safetensors, RefusesTruncationAnywhere) {
  const std::string file =
      safetensors(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", float_bytes({1, 2}));
  for (size_t size = 0; size < file.size(); ++size) {
    const std::string cut = file.substr(0, size);
    EXPECT_THROW(parse_safetensors(as_bytes(cut), "cut"), Error) << size;
  }
  EXPECT_NO_THROW(parse_safetensors(as_bytes(file), "whole"));
}

TEST(Safetensors, RefusesAHostileHeaderLength) {
  for (uint64_t length : {uint64_t{1} << 60, ~uint64_t{0}, uint64_t{100'000'001}, uint64_t{0}}) {
    std::string file;
    append(file, length);
    file += "{}";
    const std::string error = error_of<Error>([&] { parse_safetensors(as_bytes(file), "x.safetensors"); });
    EXPECT_THAT(error, HasSubstr("x.safetensors: ")) << length;
    EXPECT_THAT(error, HasSubstr("header")) << length;
  }
}

TEST(Safetensors, RefusesOverlapsHolesAndRests) {
  EXPECT_THAT(error_of_header(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                              R"("b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}})",
                              "123456"),
              HasSubstr("'b' begins at byte 2 of the data, inside the tensor that ends at 4"));
  EXPECT_THAT(error_of_header(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
                              R"("b":{"dtype":"U8","shape":[2],"data_offsets":[4,6]}})",
                              "123456"),
              HasSubstr("after a hole of 2 bytes"));
  EXPECT_THAT(error_of_header(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})", "123456"),
              HasSubstr("4 bytes after the last tensor"));
}

TEST(Safetensors, RefusesWrongSizesAndOffsets) {
  EXPECT_THAT(error_of_header(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", "12345678"),
              HasSubstr("F32 of shape [3] but has 8 bytes"));
  EXPECT_THAT(error_of_header(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,16]}})", "12345678"),
              HasSubstr("outside the 8 bytes"));
  EXPECT_THAT(error_of_header(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", "12345678"),
              HasSubstr("outside the 8 bytes"));
  EXPECT_THAT(error_of_header(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[-8,0]}})", "12345678"),
              HasSubstr("no pair of byte offsets"));
  EXPECT_THAT(error_of_header(
                  R"({"a":{"dtype":"U8","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,8]}})",
                  "12345678"),
              HasSubstr("of shape [4294967296, 4294967296, 4294967296]"));
  EXPECT_THAT(error_of_header(R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", "12345678"),
              HasSubstr("no list of counts"));
}

TEST(Safetensors, RefusesUnknownTypesDuplicatesAndBrokenJson) {
  EXPECT_THAT(error_of_header(R"({"a":{"dtype":"Q9","shape":[2],"data_offsets":[0,8]}})", "12345678"),
              HasSubstr("dtype 'Q9'"));
  EXPECT_THAT(error_of_header(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                              R"("a":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})",
                              "12345678"),
              HasSubstr("twice"));
  EXPECT_THAT(error_of_header(R"({"a":{"dtype":"U8","shape":[4]}})", "1234"), HasSubstr("no data_offsets"));
  EXPECT_THAT(error_of_header(R"({"a":7})", "1234"), HasSubstr("no object"));
  EXPECT_THAT(error_of_header(R"({"__metadata__":{"a":[]}})", ""), HasSubstr("__metadata__"));
  EXPECT_THAT(error_of_header(R"({"a":)", "1234"), HasSubstr("malformed"));
  EXPECT_THAT(error_of_header("[]", ""), HasSubstr("does not begin"));
  std::string deep = R"({"a":)";
  for (int i = 0; i < 100'000; ++i) deep += '[';
  EXPECT_THAT(error_of_header(deep, ""), HasSubstr("malformed"));
  EXPECT_THAT(error_of_header("{\"\xff\xfe\":{}}", ""), HasSubstr("malformed"));
}

TEST(Safetensors, FileMustExistAndBeRegular) {
  EXPECT_THAT(error_of<Error>([] { SafetensorsFile("/no/such/file"); }), HasSubstr("/no/such/file"));
  EXPECT_THAT(error_of<Error>([] { SafetensorsFile("/"); }), HasSubstr("not a regular file"));
}

}  // namespace
}  // namespace reprise::weights
