// Values that the `gguf` Python package computed, bit for bit. The file holds pairs of tensors, `x` and
// `expected.x`; tools/oracle/gguf_oracle.py writes it, and runs this test on a larger one that
// REPRISE_GGUF_GOLDEN names.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdlib>

#include "source_dir.h"
#include "weights/checkpoint.h"
#include "weights/dequantize.h"

namespace reprise::weights {
namespace {

std::string golden_path() {
  const char* other = std::getenv("REPRISE_GGUF_GOLDEN");
  return other ? other : REPRISE_SOURCE_DIR "/tests/weights/data/golden.gguf";
}

TEST(GgufGolden, EveryTypeAndRowOrderBitForBit) {
  const auto checkpoint = Checkpoint::open(golden_path());
  int compared = 0;
  for (const std::string& name : checkpoint->names()) {
    constexpr std::string_view kPrefix = "expected.";
    if (!name.starts_with(kPrefix)) continue;
    const std::string subject = name.substr(kPrefix.size());
    const std::vector<float> expected = checkpoint->read_f32(name);
    const std::vector<float> actual = checkpoint->read_f32(subject);
    ASSERT_EQ(checkpoint->info(subject).shape, checkpoint->info(name).shape) << subject;
    size_t wrong = 0;
    for (size_t i = 0; i < expected.size(); ++i)
      wrong += std::bit_cast<uint32_t>(expected[i]) != std::bit_cast<uint32_t>(actual[i]) &&
               !(std::isnan(expected[i]) && std::isnan(actual[i]));
    EXPECT_EQ(wrong, 0u) << subject;
    ++compared;
  }
  EXPECT_EQ(compared, 11 + 4);
}

TEST(GgufGolden, RowsOneByOneEqualTheWhole) {
  const auto checkpoint = Checkpoint::open(golden_path());
  const std::string name = "model.layers.0.self_attn.q_proj.weight";
  const TensorInfo& info = checkpoint->info(name);
  const std::vector<float> whole = checkpoint->read_f32(name);
  std::vector<float> row(static_cast<size_t>(info.columns()));
  for (int64_t i = 0; i < info.rows(); ++i) {
    checkpoint->read_rows_f32(name, i, i + 1, row.data());
    EXPECT_TRUE(std::equal(row.begin(), row.end(), whole.begin() + i * info.columns())) << i;
    dequantize_row(info.type, checkpoint->row_bytes(name, i), row.data(), info.columns());
    EXPECT_TRUE(std::equal(row.begin(), row.end(), whole.begin() + i * info.columns())) << i;
  }
}

}  // namespace
}  // namespace reprise::weights
