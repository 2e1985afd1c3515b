// Elements of f32 or bf16 as kernels get them, and their comparison bit by bit.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "core/error.h"
#include "tests/loop/same_bits.h"

namespace reprise::codegen {

class Elements {
 public:
  Elements(DType dtype, int64_t count, float fill)
      : dtype_(dtype), bytes_(static_cast<size_t>(count) * size_of(dtype)) {
    for (int64_t i = 0; i < count; ++i) set(i, fill);
  }
  void set(int64_t i, float number) {
    const auto bits = std::bit_cast<uint32_t>(number);
    if (dtype_ == DType::f32)
      std::memcpy(&bytes_[static_cast<size_t>(4 * i)], &bits, 4);
    else
      std::memcpy(&bytes_[static_cast<size_t>(2 * i)], reinterpret_cast<const char*>(&bits) + 2, 2);
  }
  float get(int64_t i) const {
    uint32_t bits = 0;
    if (dtype_ == DType::f32)
      std::memcpy(&bits, &bytes_[static_cast<size_t>(4 * i)], 4);
    else
      std::memcpy(reinterpret_cast<char*>(&bits) + 2, &bytes_[static_cast<size_t>(2 * i)], 2);
    return std::bit_cast<float>(bits);
  }
  int64_t count() const { return static_cast<int64_t>(bytes_.size() / size_of(dtype_)); }
  std::byte* data() { return bytes_.data(); }

 private:
  DType dtype_;
  std::vector<std::byte> bytes_;
};

inline std::string difference(const Elements& a, const Elements& b) {
  for (int64_t i = 0; i < a.count(); ++i)
    if (!loop::same_bits(a.get(i), b.get(i)))
      return fmt::format("element {} is {} ({:x}), by hand {} ({:x})", i, b.get(i),
                         std::bit_cast<uint32_t>(b.get(i)), a.get(i), std::bit_cast<uint32_t>(a.get(i)));
  return "";
}

}  // namespace reprise::codegen
