// Sizes that are symbolic in the step: T, its tokens, S, its sequences, and R, the rows of hidden states whose
// logits are read. Model code, launches and recordings speak of [T, hidden]; only a kernel that runs knows the
// numbers. So one recording can serve every batch size.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>

namespace reprise {

struct StepSizes {
  int64_t tokens = 0;  // T >= 0
  int64_t seqs = 0;    // S >= 0
  int64_t rows = 0;    // R >= 0
  bool operator==(const StepSizes&) const = default;
};

// tokens * T + seqs * S + rows * R + constant
struct Dim {
  int64_t constant = 0;
  int64_t tokens = 0;
  int64_t seqs = 0;
  int64_t rows = 0;

  constexpr Dim() = default;
  constexpr Dim(int64_t value) : constant(value) {}  // NOLINT: a plain number is a Dim
  constexpr Dim(int64_t constant_part, int64_t per_token, int64_t per_seq, int64_t per_row)
      : constant(constant_part), tokens(per_token), seqs(per_seq), rows(per_row) {}

  constexpr int64_t eval(const StepSizes& sizes) const {
    return constant + tokens * sizes.tokens + seqs * sizes.seqs + rows * sizes.rows;
  }
  constexpr bool is_constant() const { return tokens == 0 && seqs == 0 && rows == 0; }
  constexpr bool operator==(const Dim&) const = default;
  constexpr Dim operator*(int64_t factor) const {
    return {constant * factor, tokens * factor, seqs * factor, rows * factor};
  }
  constexpr Dim operator+(const Dim& other) const {
    return {constant + other.constant, tokens + other.tokens, seqs + other.seqs, rows + other.rows};
  }
};

inline constexpr Dim kTokens{0, 1, 0, 0};  // T
inline constexpr Dim kSeqs{0, 0, 1, 0};    // S
inline constexpr Dim kRows{0, 0, 0, 1};    // R

std::string to_string(const Dim& dim);  // "T", "2*T+1", "1024"

// Row-major, at most 4 dimensions, of which at most one is symbolic.
class Shape {
 public:
  static constexpr int kMaxRank = 4;

  constexpr Shape() = default;
  constexpr Shape(std::initializer_list<Dim> dims) {
    for (const Dim& dim : dims) dims_[static_cast<size_t>(rank_++)] = dim;
  }

  constexpr int rank() const { return rank_; }
  constexpr const Dim& operator[](int i) const { return dims_[static_cast<size_t>(i)]; }
  constexpr const Dim& back() const { return dims_[static_cast<size_t>(rank_ - 1)]; }

  // Elements; affine in T, S and R because at most one dimension is symbolic.
  constexpr Dim elements() const {
    Dim symbolic{1};
    int64_t factor = 1;
    for (int i = 0; i < rank_; ++i) {
      if (dims_[static_cast<size_t>(i)].is_constant())
        factor *= dims_[static_cast<size_t>(i)].constant;
      else
        symbolic = dims_[static_cast<size_t>(i)];
    }
    return symbolic * factor;
  }
  // Elements of everything but the first dimension; must be constant.
  constexpr int64_t row_elements() const {
    int64_t product = 1;
    for (int i = 1; i < rank_; ++i) product *= dims_[static_cast<size_t>(i)].constant;
    return product;
  }
  constexpr bool operator==(const Shape&) const = default;

 private:
  std::array<Dim, kMaxRank> dims_{};
  int rank_ = 0;
};

std::string to_string(const Shape& shape);  // "[T, 16, 64]"

}  // namespace reprise
