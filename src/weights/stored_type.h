// The types in which numbers of tensors are stored in files: one list for the dtypes of safetensors and the
// types of ggml (GGUF), so that the rest of the engine handles one kind of tensor whatever the format.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "core/dtype.h"

namespace reprise::weights {

enum class StoredType : uint8_t {
  f32,
  f16,
  bf16,
  f64,
  i8,
  i16,
  i32,
  i64,
  u8,
  u16,
  u32,
  u64,
  boolean,
  f8_e4m3,
  f8_e5m2,
  f8_e8m0,
  q4_0,
  q4_1,
  q5_0,
  q5_1,
  q8_0,
  q8_1,
  q2_k,
  q3_k,
  q4_k,
  q5_k,
  q6_k,
  q8_k,
  iq2_xxs,
  iq2_xs,
  iq3_xxs,
  iq1_s,
  iq4_nl,
  iq3_s,
  iq2_s,
  iq4_xs,
  iq1_m,
  tq1_0,
  tq2_0,
  mxfp4,
  nvfp4,
  q1_0,
};

struct StoredTypeTraits {
  StoredType type;
  std::string_view name;         // for people: "F32", "Q4_K"
  std::string_view safetensors;  // name in a safetensors header; empty: not a type of that format
  int ggml;                      // number in a GGUF file; -1: not a type of that format
  int block;                     // elements of a block
  int bytes;                     // bytes of a block
};

const StoredTypeTraits& traits_of(StoredType type);
std::optional<StoredType> stored_type_of_safetensors(std::string_view name);
std::optional<StoredType> stored_type_of_ggml(uint32_t number);

// The engine's own dtype with the same bits, where there is one.
std::optional<DType> dtype_of(StoredType type);

}  // namespace reprise::weights
