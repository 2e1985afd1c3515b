#include "loop/attention.h"

#include "core/error.h"
#include "loop/fields.h"

namespace reprise::loop {
namespace {

constexpr std::string_view kWord = "attention ";

void check(const Attention& a) {
  const bool right = (a.dtype == DType::f32 || a.dtype == DType::bf16) && a.kv_heads >= 1 && a.heads >= 1 &&
                     a.heads % a.kv_heads == 0 && a.head_dim >= 1 && a.head_dim <= Attention::kMostHeadDim &&
                     a.block_size >= 16 && a.block_size % 16 == 0 && a.window >= 0 && a.sets >= 1 &&
                     a.kv_heads % a.sets == 0 && a.sets * a.group() <= Attention::kMostGroup;
  if (!right) throw Error("no attention that there is code for: {}", print(a));
}

}  // namespace

std::string print(const Attention& a) {
  return fmt::format("{}{} heads {} kv_heads {} head_dim {} block {} window {} sets {}\n", kWord,
                     name_of(a.dtype), a.heads, a.kv_heads, a.head_dim, a.block_size, a.window, a.sets);
}

bool is_attention(std::string_view text) {
  return text.starts_with(kWord);
}

Attention parse_attention(std::string_view text) {
  Fields fields(text);
  fields.word(kWord);
  Attention found;
  found.dtype = fields.activations();
  found.heads = fields.number(" heads ");
  found.kv_heads = fields.number(" kv_heads ");
  found.head_dim = fields.number(" head_dim ");
  found.block_size = fields.number(" block ");
  found.window = fields.number(" window ");
  found.sets = fields.number(" sets ");
  fields.end(print(found));
  check(found);
  return found;
}

}  // namespace reprise::loop
