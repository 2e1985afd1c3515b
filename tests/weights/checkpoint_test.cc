#include "weights/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <fstream>
#include <thread>

#include "core/error.h"
#include "tests/weights/file_builders.h"

namespace reprise::weights {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string one_tensor(std::string_view name, const std::vector<float>& values) {
  const std::string header = fmt::format(R"({{"{}":{{"dtype":"F32","shape":[{}],"data_offsets":[0,{}]}}}})",
                                         name, values.size(), 4 * values.size());
  return safetensors(header, float_bytes(values));
}

std::string error_of_open(const std::filesystem::path& path) {
  return error_of<Error>([&] { Checkpoint::open(path); });
}

TEST(Checkpoint, ReadsShardsThroughTheIndex) {
  TemporaryFolder folder;
  folder.write("model-1.safetensors", one_tensor("a", {1, 2}));
  folder.write("model-2.safetensors", one_tensor("b", {3}));
  folder.write("model.safetensors.index.json",
               R"({"metadata":{},"weight_map":{"a":"model-1.safetensors","b":"model-2.safetensors"}})");
  const auto checkpoint = Checkpoint::open(folder.path());
  EXPECT_THAT(checkpoint->names(), ElementsAre("a", "b"));
  EXPECT_THAT(checkpoint->read_f32("a"), ElementsAre(1, 2));
  EXPECT_THAT(checkpoint->read_f32("b"), ElementsAre(3));
  EXPECT_EQ(checkpoint->parameter_count(), 3);
}

TEST(Checkpoint, FindsSingleAndUnindexedFiles) {
  TemporaryFolder folder;
  folder.write("part-b.safetensors", one_tensor("b", {3}));
  folder.write("part-a.safetensors", one_tensor("a", {1}));
  EXPECT_THAT(Checkpoint::open(folder.path())->names(), ElementsAre("a", "b"));
  EXPECT_THAT(Checkpoint::open(folder.path() / "part-a.safetensors")->names(), ElementsAre("a"));
  folder.write("model.safetensors", one_tensor("c", {1}));
  EXPECT_THAT(Checkpoint::open(folder.path())->names(), ElementsAre("c"));
}

TEST(Checkpoint, RefusesAWrongIndex) {
  TemporaryFolder folder;
  folder.write("m1.safetensors", one_tensor("a", {1}));
  const auto error = [&](std::string_view index) {
    folder.write("model.safetensors.index.json", index);
    return error_of_open(folder.path());
  };
  EXPECT_THAT(error(R"({"weight_map":{"a":"m1.safetensors","b":"m2.safetensors"}})"),
              HasSubstr("m2.safetensors, which is not in the folder"));
  EXPECT_THAT(error(R"({"weight_map":{"a":"m1.safetensors","b":"m1.safetensors"}})"),
              HasSubstr("'b' in m1.safetensors, which does not hold it"));
  for (std::string_view path : {"../m1.safetensors", "/etc/passwd", "..", ""})
    EXPECT_THAT(error(fmt::format(R"({{"weight_map":{{"a":"{}"}}}})", path)), HasSubstr("plain name"));
  EXPECT_THAT(error(R"({"weight_map":{}})"), HasSubstr("empty"));
  EXPECT_THAT(error(R"({"weight_map":{"a":1}})"), HasSubstr("no string"));
  EXPECT_THAT(error(R"({})"), HasSubstr("no object 'weight_map'"));
  EXPECT_THAT(error(R"({"weight_map":)"), HasSubstr("malformed"));
}

TEST(Checkpoint, RefusesEmptyFoldersDoublesAndOtherFiles) {
  TemporaryFolder folder;
  EXPECT_THAT(error_of_open(folder.path()), HasSubstr("holds no weights"));
  EXPECT_THAT(error_of_open(folder.path() / "none"), HasSubstr("no such file or folder"));
  EXPECT_THAT(error_of_open(folder.write("x.bin", "hello")), HasSubstr("neither a GGUF file"));
  EXPECT_THAT(error_of_open(folder.write("x.gguf", "hello")), HasSubstr("no GGUF file"));
  folder.write("1.safetensors", one_tensor("a", {1}));
  folder.write("2.safetensors", one_tensor("a", {1}));
  EXPECT_THAT(error_of_open(folder.path()), HasSubstr("'a' is in both"));
}

TEST(Checkpoint, MissingTensorsAndWrongShapesAreNamed) {
  TemporaryFolder folder;
  folder.write("model.safetensors", one_tensor("model.layers.0.mlp.up_proj.weight", {1, 2, 3}));
  const auto checkpoint = Checkpoint::open(folder.path());
  EXPECT_THAT(error_of<Error>([&] { checkpoint->info("model.layers.0.mlp.down_proj.weight"); }),
              HasSubstr("no tensor 'model.layers.0.mlp.down_proj.weight' among 1 (closest: "
                        "model.layers.0.mlp.up_proj.weight)"));
  const std::vector<int64_t> shape = {3, 1};
  EXPECT_THAT(error_of<Error>([&] { checkpoint->expect("model.layers.0.mlp.up_proj.weight", shape); }),
              HasSubstr("has shape [3], the config asks for [3, 1]"));
}

TEST(Checkpoint, HalfTypesAreConvertedAndOthersRefused) {
  TemporaryFolder folder;
  std::string data;
  for (uint16_t half : {0x3c00, 0xc000, 0x0001, 0x7c00}) append<uint16_t>(data, half);
  for (uint16_t bf16 : {0x3f80, 0xc000}) append<uint16_t>(data, bf16);
  data += std::string(4, '\1');
  folder.write("model.safetensors", safetensors(R"({"h":{"dtype":"F16","shape":[2,2],"data_offsets":[0,8]},)"
                                                R"("b":{"dtype":"BF16","shape":[2],"data_offsets":[8,12]},)"
                                                R"("u":{"dtype":"U8","shape":[4],"data_offsets":[12,16]}})",
                                                data));
  const auto checkpoint = Checkpoint::open(folder.path());
  EXPECT_THAT(checkpoint->read_f32("h"), ElementsAre(1.0f, -2.0f, 0x1p-24f, INFINITY));
  EXPECT_THAT(checkpoint->read_f32("b"), ElementsAre(1.0f, -2.0f));
  EXPECT_EQ(checkpoint->raw("h")->size(), 8u);
  EXPECT_EQ(checkpoint->raw("u"), std::nullopt);
  EXPECT_EQ(std::memcmp(checkpoint->row_bytes("h", 1), data.data() + 4, 4), 0);
  EXPECT_THAT(error_of<Error>([&] { checkpoint->read_f32("u"); }), HasSubstr("'u' is stored as U8"));
}

TEST(Checkpoint, GgufTypesWithoutADecoderAreNamed) {
  TemporaryFolder folder;
  GgufBuilder builder;
  builder.tensor("blk.0.ffn_up.weight", {256, 1}, 10, std::string(84, '\0'));
  const auto checkpoint = Checkpoint::open(folder.write("m.gguf", builder.build()));
  EXPECT_THAT(error_of<Error>([&] { checkpoint->read_f32("model.layers.0.mlp.up_proj.weight"); }),
              HasSubstr("'blk.0.ffn_up.weight' ('model.layers.0.mlp.up_proj.weight') is stored as Q2_K"));
}

TEST(Checkpoint, GgufHeadsMustFitTheirTensors) {
  TemporaryFolder folder;
  GgufBuilder builder;
  builder.text("general.architecture", "llama").u32("llama.attention.head_count", 3);
  builder.tensor("blk.0.attn_q.weight", {2, 4}, 0, std::string(32, '\0'));
  EXPECT_THAT(error_of_open(folder.write("m.gguf", builder.build())), HasSubstr("3 heads"));
  builder = {};
  builder.u32("split.count", 2);
  EXPECT_THAT(error_of_open(folder.write("m.gguf", builder.build())), HasSubstr("2 parts"));
}

int64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  int64_t size = 0, resident = 0;
  statm >> size >> resident;
  return resident * ::sysconf(_SC_PAGESIZE);
}

TEST(Checkpoint, ReleasedPagesLeaveResidentMemoryAndComeBack) {
  constexpr size_t kCount = size_t{8} << 20;
  TemporaryFolder folder;
  folder.write("model.safetensors", one_tensor("a", std::vector<float>(kCount, 1.5f)));
  const auto checkpoint = Checkpoint::open(folder.path());
  std::vector<float> row(kCount);
  checkpoint->read_rows_f32("a", 0, 1, row.data());
  const int64_t before = resident_bytes();
  checkpoint->release("a");
  EXPECT_LT(resident_bytes(), before - static_cast<int64_t>(kCount * 4 / 2));
  EXPECT_EQ(checkpoint->read_f32("a").back(), 1.5f);
}

TEST(Checkpoint, ThreadsReadWhileOthersRelease) {
  TemporaryFolder folder;
  std::vector<float> values(100'000);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  folder.write("model.safetensors", one_tensor("a", values));
  const auto checkpoint = Checkpoint::open(folder.path());
  std::vector<std::jthread> threads;
  std::atomic<int> wrong = 0;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i) {
        if (checkpoint->read_f32("a") != values) ++wrong;
        if (t == 0) checkpoint->release("a");
      }
    });
  threads.clear();
  EXPECT_EQ(wrong, 0);
}

std::string tensors_named(const std::vector<std::string>& names) {
  std::string header = "{";
  for (size_t i = 0; i < names.size(); ++i)
    header += fmt::format(R"({}"{}":{{"dtype":"F32","shape":[1],"data_offsets":[{},{}]}})", i == 0 ? "" : ",",
                          names[i], 4 * i, 4 * i + 4);
  return safetensors(header + "}", std::string(4 * names.size(), '\0'));
}

TEST(Checkpoint, TensorsOfABaseModelGetTheUsualNames) {
  TemporaryFolder folder;
  const auto names = [&](const std::vector<std::string>& stored) {
    return Checkpoint::open(folder.write("m.safetensors", tensors_named(stored)))->names();
  };
  const std::vector<std::string> kUsual = {"lm_head.weight", "model.embed_tokens.weight",
                                           "model.layers.0.input_layernorm.weight", "model.norm.weight"};
  EXPECT_EQ(names(kUsual), kUsual);
  for (const auto& [backbone, head] :
       {std::pair{"", ""}, std::pair{"model.language_model.", ""},
        std::pair{"language_model.model.", "language_model."}, std::pair{"_orig_mod.model.", "_orig_mod."},
        std::pair{"module.model.", "module."}})
    EXPECT_EQ(names({fmt::format("{}lm_head.weight", head), fmt::format("{}embed_tokens.weight", backbone),
                     fmt::format("{}layers.0.input_layernorm.weight", backbone),
                     fmt::format("{}norm.weight", backbone)}),
              kUsual)
        << backbone;
  // Where both are there, or not all that a decoder has, names stay.
  EXPECT_THAT(names({"layers.0.input_layernorm.weight", "model.embed_tokens.weight", "norm.weight"}),
              ElementsAre("layers.0.input_layernorm.weight", "model.embed_tokens.weight", "norm.weight"));
  EXPECT_THAT(names({"layers.0.input_layernorm.weight"}), ElementsAre("layers.0.input_layernorm.weight"));
}

TEST(Checkpoint, FilesThatAreNoWeightsAreCalledWhatTheyAre) {
  TemporaryFolder folder;
  EXPECT_THAT(
      error_of_open(folder.write("a.safetensors", "version https://git-lfs.github.com/spec/v1\nsize 99\n")),
      HasSubstr("a.safetensors is a Git LFS pointer, not the file of 99 bytes"));
  EXPECT_THAT(error_of_open(folder.write("b.safetensors", "<html><body>Sign in")),
              HasSubstr("is an HTML page"));
  EXPECT_THAT(error_of_open(folder.write("c.safetensors", "")), HasSubstr("c.safetensors is empty"));
  EXPECT_THAT(error_of_open(folder.write("d.gguf", "<html><body>Sign in")), HasSubstr("is an HTML page"));
  EXPECT_THAT(error_of_open(folder.write("e.gguf", "PK\3\4")), HasSubstr("is a zip archive"));
  EXPECT_THAT(error_of_open(folder.write("f.bin", "\x80\2}q")), HasSubstr("is a Python pickle"));
  EXPECT_THAT(error_of_open(folder.write("g.part", "????????")), HasSubstr("is an unfinished download"));
  TemporaryFolder other;
  other.write("pytorch_model.bin", "x");
  EXPECT_THAT(error_of_open(other.path()), HasSubstr("PyTorch files such as pytorch_model.bin are not read"));
  TemporaryFolder third;
  third.write("m.gguf", "x");
  EXPECT_THAT(error_of_open(third.path()), HasSubstr("to use m.gguf, give the path of that file"));
  third.write("model.safetensors.index.json", "Entry not found");
  EXPECT_THAT(error_of_open(third.path()), HasSubstr("index.json is a server's error message"));
}

}  // namespace
}  // namespace reprise::weights
