// Programs that are one line of words and numbers: what is printed parses to the same, and nothing else parses.
#include <gtest/gtest.h>

#include <string>

#include "core/error.h"
#include "loop/attention.h"
#include "loop/rotary.h"

namespace reprise::loop {
namespace {

// Every cut, every changed byte, and what stands between.
template <typename Parse>
void expect_only(const std::string& text, Parse parse) {
  for (size_t i = 0; i < text.size(); ++i) {
    EXPECT_THROW(parse(text.substr(0, i)), Error) << i;
    std::string wrong = text;
    wrong[i] = '~';
    EXPECT_THROW(parse(wrong), Error) << i;
    const std::string more = text.substr(0, i) + " 0" + text.substr(i);
    EXPECT_THROW(parse(more), Error) << i;
  }
  EXPECT_THROW(parse(text + "\n"), Error);
}

TEST(AttentionText, ParsesWhatItPrintsAndNothingElse) {
  const Attention attention{.dtype = DType::bf16,
                            .heads = 12,
                            .kv_heads = 4,
                            .head_dim = 64,
                            .block_size = 48,
                            .window = 7,
                            .sets = 2};
  EXPECT_EQ(parse_attention(print(attention)), attention);
  expect_only(print(attention), parse_attention);
  const auto throws = [&](auto change) {
    Attention wrong = attention;
    change(wrong);
    EXPECT_THROW(parse_attention(print(wrong)), Error) << print(wrong);
  };
  throws([](auto& a) { a.heads = 13; });
  throws([](auto& a) { a.heads = 0; });
  throws([](auto& a) { a.kv_heads = 0; });
  throws([](auto& a) { a.head_dim = 257; });
  throws([](auto& a) { a.block_size = 40; });
  throws([](auto& a) { a.window = -1; });
  throws([](auto& a) { a.sets = 3; });
  throws([](auto& a) { a.heads = 400, a.sets = 4; });
}

TEST(RotaryText, ParsesWhatItPrintsAndNothingElse) {
  const RotaryKvWrite rotary{.dtype = DType::bf16,
                             .heads = 12,
                             .kv_heads = 4,
                             .head_dim = 63,
                             .rot_dim = 40,
                             .block_size = 48,
                             .interleaved = true,
                             .round_products = true,
                             .q_norm = true,
                             .k_norm = true,
                             .positions = true,
                             .eps = 1e-6f,
                             .sets = 2};
  EXPECT_EQ(parse_rotary_kv_write(print(rotary)), rotary);
  EXPECT_TRUE(is_rotary_kv_write(print(rotary)));
  EXPECT_FALSE(is_attention(print(rotary)));
  expect_only(print(rotary), parse_rotary_kv_write);
  const auto throws = [&](auto change) {
    RotaryKvWrite wrong = rotary;
    change(wrong);
    EXPECT_THROW(parse_rotary_kv_write(print(wrong)), Error) << print(wrong);
  };
  throws([](auto& r) { r.heads = 13; });
  throws([](auto& r) { r.heads = 0; });
  throws([](auto& r) { r.kv_heads = 0; });
  throws([](auto& r) { r.kv_heads = int64_t{1} << 33; });
  throws([](auto& r) { r.head_dim = 257; });
  throws([](auto& r) { r.head_dim = 39; });
  throws([](auto& r) { r.rot_dim = 39; });
  throws([](auto& r) { r.rot_dim = 0; });
  throws([](auto& r) { r.block_size = 40; });
  throws([](auto& r) { r.block_size = 0; });
  throws([](auto& r) { r.sets = 3; });
  throws([](auto& r) { r.sets = 0; });
  throws([](auto& r) { r.dtype = DType::f32; });
  throws([](auto& r) { r.q_norm = r.k_norm = false; });
}

}  // namespace
}  // namespace reprise::loop
