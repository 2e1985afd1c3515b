// Pairs of embedding and head, and names of tensors that other programs write.
#include "models/weight_loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>

#include "core/error.h"
#include "device/cpu/weight_packer.h"
#include "tests/weights/file_builders.h"

namespace reprise::models {
namespace {

using testing::HasSubstr;
using weights::error_of;
using weights::TemporaryFolder;

struct Stored {
  std::string dtype = "F32";
  std::vector<float> values = {};  // of F32
  std::string bytes = {};          // of other types
};

std::string file_of(const std::map<std::string, Stored>& tensors) {
  std::string header = "{", data;
  for (const auto& [name, tensor] : tensors) {
    const std::string bytes = tensor.bytes.empty() ? weights::float_bytes(tensor.values) : tensor.bytes;
    header +=
        fmt::format(R"({}"{}":{{"dtype":"{}","shape":[2,2],"data_offsets":[{},{}]}})",
                    data.empty() ? "" : ",", name, tensor.dtype, data.size(), data.size() + bytes.size());
    data += bytes;
  }
  return weights::safetensors(header + "}", data);
}

class WeightLoaderTest : public testing::Test {
 protected:
  // The rows of `load(loader)`, unpacked: only the bytes of equal packed tensors are compared.
  std::string packed(const std::map<std::string, Stored>& tensors,
                     const std::function<Tensor(WeightLoader&)>& load) {
    const auto checkpoint = weights::Checkpoint::open(folder_.write("m.safetensors", file_of(tensors)));
    HeapStore store(BufferKind::weight, host_memory());
    ThreadTeam team(1);
    const CpuWeightPacker packer;
    WeightLoader loader(checkpoint.get(), store, packer, team, DType::f32);
    const Tensor tensor = load(loader);
    return {reinterpret_cast<const char*>(tensor.as<float>()), store.bytes()};
  }
  static Tensor tied(WeightLoader& loader) { return loader.tied_matrix("embed", "head", 2, 2); }
  static Tensor plain(WeightLoader& loader) { return loader.matrix("embed", 2, 2); }

  TemporaryFolder folder_;
};

const Stored kOne = {.values = {1, 2, 3, 4}};
const Stored kOther = {.values = {1, 2, 3, 5}};
const Stored kOneBf16 = {.dtype = "BF16", .bytes = std::string("\x80\x3f\x00\x40\x40\x40\x80\x40", 8)};

TEST_F(WeightLoaderTest, ATiedPairMayBeStoredUnderEitherName) {
  const std::string expected = packed({{"embed", kOne}}, plain);
  EXPECT_EQ(packed({{"embed", kOne}}, tied), expected);
  EXPECT_EQ(packed({{"head", kOne}}, tied), expected);
  EXPECT_EQ(packed({{"embed", kOne}, {"head", kOne}}, tied), expected);
  EXPECT_EQ(packed({{"embed", kOne}, {"head", kOneBf16}}, tied),
            expected);  // the same numbers in another type
  EXPECT_THAT(error_of<Error>([&] { packed({{"x", kOne}}, tied); }), HasSubstr("no tensor 'embed'"));
}

TEST_F(WeightLoaderTest, ATiedPairThatDiffersIsRefused) {
  for (const Stored& embed : {kOne, kOneBf16})
    EXPECT_THAT(
        error_of<Error>([&] {
          packed({{"embed", embed}, {"head", kOther}}, tied);
        }),
        testing::AllOf(HasSubstr("'embed' and 'head' are tied"), HasSubstr("both are stored and differ")));
}

TEST_F(WeightLoaderTest, AHeadThatIsMissingSaysHowToTieIt) {
  const auto head = [](WeightLoader& loader) { return loader.head_matrix("head", 2, 2); };
  EXPECT_THAT(error_of<Error>([&] {
                packed({{"embed", kOne}}, head);
              }),
              HasSubstr("\"tie_word_embeddings\": true"));
  EXPECT_EQ(packed({{"head", kOne}}, head), packed({{"embed", kOne}}, plain));
}

}  // namespace
}  // namespace reprise::models
