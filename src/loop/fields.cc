#include "loop/fields.h"

#include <bit>
#include <charconv>

#include "core/error.h"

namespace reprise::loop {

void Fields::word(std::string_view word) {
  if (!rest_.starts_with(word)) throw Error("'{}', expected '{}' where '{}' begins", line_, word, rest_);
  rest_.remove_prefix(word.size());
}

DType Fields::activations() {
  const DType dtype = rest_.starts_with(name_of(DType::bf16)) ? DType::bf16 : DType::f32;
  word(name_of(dtype));
  return dtype;
}

uint64_t Fields::digits(int base, uint64_t most, std::string_view expected) {
  uint64_t found = 0;
  const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), found, base);
  if (error != std::errc{} || found > most)
    throw Error("'{}', expected {} where '{}' begins", line_, expected, rest_);
  rest_.remove_prefix(static_cast<size_t>(end - rest_.data()));
  return found;
}

int64_t Fields::number(std::string_view word) {
  this->word(word);
  return static_cast<int64_t>(digits(10, uint64_t{1} << 32, "a number up to 2^32"));
}

bool Fields::flag(std::string_view word) {
  this->word(word);
  return digits(10, 1, "0 or 1") != 0;
}

float Fields::float_bits(std::string_view word) {
  this->word(word);
  return std::bit_cast<float>(static_cast<uint32_t>(digits(16, 0xffffffffu, "the bits of a number")));
}

void Fields::end(std::string_view printed) {
  if (rest_ != "\n") throw Error("'{}' does not end where '{}' begins", line_, rest_);
  if (printed != line_) throw Error("'{}', expected it written as '{}'", line_, printed);
}

}  // namespace reprise::loop
