#include "weights/stored_type.h"

#include <array>

#include "core/error.h"

namespace reprise::weights {
namespace {

// In the order of the enum. Sizes of the ggml types: ggml-common.h of llama.cpp, GGML_QUANT_SIZES of its gguf
// package.
// clang-format off
constexpr std::array kTraits = {
    StoredTypeTraits{StoredType::f32, "F32", "F32", 0, 1, 4},
    StoredTypeTraits{StoredType::f16, "F16", "F16", 1, 1, 2},
    StoredTypeTraits{StoredType::bf16, "BF16", "BF16", 30, 1, 2},
    StoredTypeTraits{StoredType::f64, "F64", "F64", 28, 1, 8},
    StoredTypeTraits{StoredType::i8, "I8", "I8", 24, 1, 1},
    StoredTypeTraits{StoredType::i16, "I16", "I16", 25, 1, 2},
    StoredTypeTraits{StoredType::i32, "I32", "I32", 26, 1, 4},
    StoredTypeTraits{StoredType::i64, "I64", "I64", 27, 1, 8},
    StoredTypeTraits{StoredType::u8, "U8", "U8", -1, 1, 1},
    StoredTypeTraits{StoredType::u16, "U16", "U16", -1, 1, 2},
    StoredTypeTraits{StoredType::u32, "U32", "U32", -1, 1, 4},
    StoredTypeTraits{StoredType::u64, "U64", "U64", -1, 1, 8},
    StoredTypeTraits{StoredType::boolean, "BOOL", "BOOL", -1, 1, 1},
    StoredTypeTraits{StoredType::f8_e4m3, "F8_E4M3", "F8_E4M3", -1, 1, 1},
    StoredTypeTraits{StoredType::f8_e5m2, "F8_E5M2", "F8_E5M2", -1, 1, 1},
    StoredTypeTraits{StoredType::f8_e8m0, "F8_E8M0", "F8_E8M0", -1, 1, 1},
    StoredTypeTraits{StoredType::q4_0, "Q4_0", "", 2, 32, 18},
    StoredTypeTraits{StoredType::q4_1, "Q4_1", "", 3, 32, 20},
    StoredTypeTraits{StoredType::q5_0, "Q5_0", "", 6, 32, 22},
    StoredTypeTraits{StoredType::q5_1, "Q5_1", "", 7, 32, 24},
    StoredTypeTraits{StoredType::q8_0, "Q8_0", "", 8, 32, 34},
    StoredTypeTraits{StoredType::q8_1, "Q8_1", "", 9, 32, 40},
    StoredTypeTraits{StoredType::q2_k, "Q2_K", "", 10, 256, 84},
    StoredTypeTraits{StoredType::q3_k, "Q3_K", "", 11, 256, 110},
    StoredTypeTraits{StoredType::q4_k, "Q4_K", "", 12, 256, 144},
    StoredTypeTraits{StoredType::q5_k, "Q5_K", "", 13, 256, 176},
    StoredTypeTraits{StoredType::q6_k, "Q6_K", "", 14, 256, 210},
    StoredTypeTraits{StoredType::q8_k, "Q8_K", "", 15, 256, 292},
    StoredTypeTraits{StoredType::iq2_xxs, "IQ2_XXS", "", 16, 256, 66},
    StoredTypeTraits{StoredType::iq2_xs, "IQ2_XS", "", 17, 256, 74},
    StoredTypeTraits{StoredType::iq3_xxs, "IQ3_XXS", "", 18, 256, 98},
    StoredTypeTraits{StoredType::iq1_s, "IQ1_S", "", 19, 256, 50},
    StoredTypeTraits{StoredType::iq4_nl, "IQ4_NL", "", 20, 32, 18},
    StoredTypeTraits{StoredType::iq3_s, "IQ3_S", "", 21, 256, 110},
    StoredTypeTraits{StoredType::iq2_s, "IQ2_S", "", 22, 256, 82},
    StoredTypeTraits{StoredType::iq4_xs, "IQ4_XS", "", 23, 256, 136},
    StoredTypeTraits{StoredType::iq1_m, "IQ1_M", "", 29, 256, 56},
    StoredTypeTraits{StoredType::tq1_0, "TQ1_0", "", 34, 256, 54},
    StoredTypeTraits{StoredType::tq2_0, "TQ2_0", "", 35, 256, 66},
    StoredTypeTraits{StoredType::mxfp4, "MXFP4", "", 39, 32, 17},
    StoredTypeTraits{StoredType::nvfp4, "NVFP4", "", 40, 64, 36},
    StoredTypeTraits{StoredType::q1_0, "Q1_0", "", 41, 128, 18},
};
// clang-format on

constexpr bool in_order() {
  for (size_t i = 0; i < kTraits.size(); ++i)
    if (static_cast<size_t>(kTraits[i].type) != i) return false;
  return true;
}
static_assert(in_order(), "kTraits must follow the enum");

}  // namespace

const StoredTypeTraits& traits_of(StoredType type) {
  REPRISE_CHECK(static_cast<size_t>(type) < kTraits.size(), "stored type {}", static_cast<int>(type));
  return kTraits[static_cast<size_t>(type)];
}

std::optional<StoredType> stored_type_of_safetensors(std::string_view name) {
  for (const StoredTypeTraits& t : kTraits)
    if (!t.safetensors.empty() && t.safetensors == name) return t.type;
  return std::nullopt;
}

std::optional<StoredType> stored_type_of_ggml(uint32_t number) {
  for (const StoredTypeTraits& t : kTraits)
    if (t.ggml >= 0 && static_cast<uint32_t>(t.ggml) == number) return t.type;
  return std::nullopt;
}

std::optional<DType> dtype_of(StoredType type) {
  switch (type) {
    case StoredType::f32:
      return DType::f32;
    case StoredType::f16:
      return DType::f16;
    case StoredType::bf16:
      return DType::bf16;
    case StoredType::i8:
      return DType::i8;
    case StoredType::i32:
      return DType::i32;
    default:
      return std::nullopt;
  }
}

}  // namespace reprise::weights
