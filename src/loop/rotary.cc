#include "loop/rotary.h"

#include <bit>

#include "core/error.h"
#include "loop/fields.h"

namespace reprise::loop {
namespace {

constexpr std::string_view kRotaryWord = "rotary_kv_write ";

void check(const RotaryKvWrite& r) {
  const bool normed = r.q_norm || r.k_norm;
  const bool right = (r.dtype == DType::f32 || r.dtype == DType::bf16) && r.kv_heads >= 1 && r.heads >= 1 &&
                     r.heads % r.kv_heads == 0 && r.head_dim >= 1 &&
                     r.head_dim <= RotaryKvWrite::kMostHeadDim && r.rot_dim >= 2 && r.rot_dim % 2 == 0 &&
                     r.rot_dim <= r.head_dim && r.block_size >= 16 && r.block_size % 16 == 0 && r.sets >= 1 &&
                     r.kv_heads % r.sets == 0 && !(r.round_products && r.dtype == DType::f32) &&
                     (normed || std::bit_cast<uint32_t>(r.eps) == 0);
  if (!right) throw Error("no rotation that there is code for: {}", print(r));
}

}  // namespace

std::string print(const RotaryKvWrite& r) {
  return fmt::format(
      "{}{} heads {} kv_heads {} head_dim {} rot_dim {} block {} interleaved {:d} round_products {:d} q_norm "
      "{:d} k_norm {:d} positions {:d} eps {:08x} sets {}\n",
      kRotaryWord, name_of(r.dtype), r.heads, r.kv_heads, r.head_dim, r.rot_dim, r.block_size, r.interleaved,
      r.round_products, r.q_norm, r.k_norm, r.positions, std::bit_cast<uint32_t>(r.eps), r.sets);
}

bool is_rotary_kv_write(std::string_view text) {
  return text.starts_with(kRotaryWord);
}

RotaryKvWrite parse_rotary_kv_write(std::string_view text) {
  Fields fields(text);
  fields.word(kRotaryWord);
  RotaryKvWrite found;
  found.dtype = fields.activations();
  found.heads = fields.number(" heads ");
  found.kv_heads = fields.number(" kv_heads ");
  found.head_dim = fields.number(" head_dim ");
  found.rot_dim = fields.number(" rot_dim ");
  found.block_size = fields.number(" block ");
  found.interleaved = fields.flag(" interleaved ");
  found.round_products = fields.flag(" round_products ");
  found.q_norm = fields.flag(" q_norm ");
  found.k_norm = fields.flag(" k_norm ");
  found.positions = fields.flag(" positions ");
  found.eps = fields.float_bits(" eps ");
  found.sets = fields.number(" sets ");
  fields.end(print(found));
  check(found);
  return found;
}

}  // namespace reprise::loop
