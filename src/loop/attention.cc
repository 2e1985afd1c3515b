#include "loop/attention.h"

#include <charconv>

#include "core/error.h"

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
  Attention found;
  std::string_view rest = text;
  const auto take = [&](std::string_view word) {
    if (!rest.starts_with(word)) throw Error("'{}', expected '{}' where '{}' begins", text, word, rest);
    rest.remove_prefix(word.size());
  };
  const auto number = [&](std::string_view word, int64_t& to) {
    take(word);
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), to);
    constexpr int64_t kMost = int64_t{1} << 32;  // products of two fit
    if (error != std::errc{} || to < 0 || to > kMost)
      throw Error("'{}', expected a number where '{}' begins", text, rest);
    rest.remove_prefix(static_cast<size_t>(end - rest.data()));
  };
  take(kWord);
  found.dtype = rest.starts_with(name_of(DType::bf16)) ? DType::bf16 : DType::f32;
  take(name_of(found.dtype));
  number(" heads ", found.heads);
  number(" kv_heads ", found.kv_heads);
  number(" head_dim ", found.head_dim);
  number(" block ", found.block_size);
  number(" window ", found.window);
  number(" sets ", found.sets);
  if (rest != "\n") throw Error("'{}' does not end where '{}' begins", text, rest);
  check(found);
  return found;
}

}  // namespace reprise::loop
