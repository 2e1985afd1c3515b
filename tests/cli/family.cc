// Gives `reprise` a family with ops that nobody fused by hand, "ChainLlama" for config.json, so that level 2 has
// kernels to compile: an activation of two expressions with an op between them that no kernel takes in. And
// "BreakingLlama".
#include <unistd.h>

#include <cstdlib>

#include "core/error.h"
#include "tests/api/plain_llama.h"

namespace reprise {
namespace {

void opaque(const float* x, float* y, int64_t rows, int64_t columns) noexcept {
  for (int64_t i = 0; i < rows * columns; ++i) y[i] = x[i];
}

bool register_family() {
  const Op sigmoid = register_elementwise("sigmoid", [](Expr x) { return 1.0f / (1.0f + exp(-x)); });
  // Another number, another kernel.
  const char* const set = std::getenv("CHAIN_CAP");
  const float most = set == nullptr ? 30.0f : std::strtof(set, nullptr);
  const Op cap = register_elementwise("cap", [most](Expr x) { return most * tanh(x / most); });
  const Op pass = register_op({.name = "opaque", .run = opaque, .pure = true});
  ModelFamily family = plain_llama(
      "ChainLlama", {.activation = [=](const Value& x) { return cap(pass(nn::mul(x, sigmoid(x)))); }});
  family.supports_graph_optimization = true;
  register_model_family(std::move(family));
  // One whose steps break while a file is there.
  register_model_family(plain_llama("BreakingLlama", {.activation = [](const Value& x) {
                                      const char* const file = std::getenv("BREAKS_WHILE_THERE");
                                      if (file != nullptr && access(file, F_OK) == 0)
                                        throw InternalError("the test's file is there");
                                      return nn::silu(x);
                                    }}));
  return true;
}

[[maybe_unused]] const bool registered = register_family();

}  // namespace
}  // namespace reprise
