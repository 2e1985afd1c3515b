#include "core/shape.h"

#include <fmt/core.h>

namespace reprise {

std::string to_string(const Dim& dim) {
  std::string text;
  const auto append = [&text](int64_t factor, const char* symbol) {
    if (factor == 0) return;
    if (!text.empty()) text += '+';
    if (factor != 1) text += fmt::format("{}*", factor);
    text += symbol;
  };
  append(dim.tokens, "T");
  append(dim.seqs, "S");
  append(dim.rows, "R");
  if (text.empty()) return fmt::format("{}", dim.constant);
  if (dim.constant != 0) text += fmt::format("{:+}", dim.constant);
  return text;
}

std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (int i = 0; i < shape.rank(); ++i) text += (i == 0 ? "" : ", ") + to_string(shape[i]);
  return text + "]";
}

}  // namespace reprise
