#include "weights/dummy_checkpoint.h"

#include <cmath>

#include "core/error.h"

namespace reprise::weights {
namespace {

// splitmix64 (Steele, Lea, Flood 2014): mixes name, row and seed into the key of a row.
uint64_t mix64(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

// FNV-1a: std::hash may differ between libraries, these numbers must not.
uint64_t hash_name(std::string_view name) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (char c : name) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3u;
  return hash;
}

// One 32-bit integer hash an element (the "lowbias32" finaliser of C. Wellons' hash-prospector), in a loop
// that vectorises: 32-bit multiplies, shifts and one conversion.
[[gnu::always_inline]] inline void fill(uint64_t key, float scale, float centre, float* out, int64_t n) {
  const auto low = static_cast<uint32_t>(key);
  const auto high = static_cast<uint32_t>(key >> 32);
  for (int64_t i = 0; i < n; ++i) {
    uint32_t x = static_cast<uint32_t>(i) * 0x9e3779b9u + low;
    x = (x ^ (x >> 16)) * 0x7feb352du;
    x = (x ^ (x >> 15) ^ high) * 0x846ca68bu;
    x ^= x >> 16;
    out[i] = centre + static_cast<float>(static_cast<int32_t>(x)) * scale;
  }
}

void fill_baseline(uint64_t key, float scale, float centre, float* out, int64_t n) {
  fill(key, scale, centre, out, n);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) void fill_avx2(uint64_t key, float scale, float centre, float* out,
                                               int64_t n) {
  fill(key, scale, centre, out, n);
}
#endif

void fill_row(uint64_t key, float scale, float centre, float* out, int64_t n) {
#if defined(__x86_64__)
  static const bool avx2 = __builtin_cpu_supports("avx2");
  if (avx2) return fill_avx2(key, scale, centre, out, n);
#endif
  fill_baseline(key, scale, centre, out, n);
}

}  // namespace

DummyCheckpoint::DummyCheckpoint(std::vector<std::pair<std::string, std::vector<int64_t>>> tensors,
                                 uint64_t seed)
    : seed_(seed) {
  for (auto& [name, shape] : tensors) {
    if (stored_bytes(StoredType::f32, shape) <= 0)
      throw Error("random weights: tensor '{}' cannot have the shape {}", name, shape_text(shape));
    if (!tensors_.emplace(name, TensorInfo{.type = StoredType::f32, .shape = std::move(shape)}).second)
      throw Error("random weights: tensor '{}' is listed twice", name);
  }
}

const TensorInfo& DummyCheckpoint::info(std::string_view name) const {
  const auto it = tensors_.find(name);
  if (it == tensors_.end()) throw_missing_tensor(description(), name, names());
  return it->second;
}

std::vector<std::string> DummyCheckpoint::names() const {
  std::vector<std::string> names;
  for (const auto& [name, info] : tensors_) names.push_back(name);
  return names;
}

void DummyCheckpoint::read_rows_f32(std::string_view name, int64_t begin, int64_t end, float* out) const {
  const TensorInfo& tensor = info(name);
  REPRISE_CHECK(0 <= begin && begin <= end && end <= tensor.rows(), "rows {}..{} of '{}' with {}", begin, end,
                name, tensor.rows());
  const int64_t columns = tensor.columns();
  // A uniform variable on [-a, a) has variance a^2 / 3; a 32-bit integer covers [-2^31, 2^31).
  float reach = std::sqrt(3.0f / static_cast<float>(columns));
  float centre = 0.0f;
  if (name.ends_with("norm.weight")) {
    reach = 0.1f;
    centre = 1.0f;
  } else if (name.ends_with(".bias")) {
    reach = 0.02f;
  }
  const uint64_t key = mix64(seed_) ^ hash_name(name);
  for (int64_t row = begin; row < end; ++row, out += columns)
    fill_row(mix64(key + static_cast<uint64_t>(row) * 0xd1342543de82ef95u), reach * 0x1p-31f, centre, out,
             columns);
}

}  // namespace reprise::weights
