#include "models/weight_loader.h"

#include <algorithm>
#include <array>
#include <exception>
#include <mutex>
#include <optional>

#include "ops/packed_weight.h"

namespace reprise::models {
namespace {

// Rows that one claim reads and packs; a multiple of the 32 rows of a panel (kernels/cpu/pack.h).
constexpr int64_t kRowsPerClaim = 128;

}  // namespace

Tensor WeightLoader::matrix(const std::string& name, int64_t n, int64_t k) {
  requested_.emplace_back(name, std::vector<int64_t>{n, k});
  const Tensor packed =
      store_.allocate_bytes(ops::packed_bytes(dtype_, n, k), dtype_, Shape{n, k}, Layout::panels);
  names_.emplace(packed.buffer.get(), name);
  if (source_ == nullptr) return packed;
  const weights::TensorInfo& info = source_->expect(name, std::array{n, k});
  // bf16 to bf16 is packed straight from the mapped file.
  const auto bf16 =
      dtype_ == DType::bf16 && info.type == weights::StoredType::bf16 ? source_->raw(name) : std::nullopt;
  std::mutex mutex;
  std::exception_ptr failure;  // of any worker: jobs of the team may not throw
  team_.parallel_for((n + kRowsPerClaim - 1) / kRowsPerClaim, 1, [&](int64_t first, int64_t last, int) {
    try {
      std::vector<float> rows;
      for (int64_t claim = first; claim < last; ++claim) {
        const int64_t begin = claim * kRowsPerClaim;
        const int64_t end = std::min(n, begin + kRowsPerClaim);
        if (bf16) {
          ops::pack_bf16_rows(bf16->data() + begin * k * 2, begin, end, packed);
        } else {
          rows.resize(static_cast<size_t>((end - begin) * k));
          source_->read_rows_f32(name, begin, end, rows.data());
          ops::pack_f32_rows(rows.data(), begin, end, packed);
        }
      }
    } catch (...) {
      const std::lock_guard lock(mutex);
      failure = std::current_exception();
    }
  });
  if (failure) std::rethrow_exception(failure);
  source_->release(name);
  return packed;
}

Tensor WeightLoader::vector(const std::string& name, int64_t n) {
  requested_.emplace_back(name, std::vector<int64_t>{n});
  const Tensor vector = store_.allocate(DType::f32, Shape{n});
  names_.emplace(vector.buffer.get(), name);
  if (source_ == nullptr) return vector;
  source_->expect(name, std::array{n});
  source_->read_rows_f32(name, 0, 1, vector.as<float>());
  source_->release(name);
  return vector;
}

Tensor WeightLoader::constant(const std::string& name, const std::vector<float>& values) {
  const Tensor vector = store_.allocate(DType::f32, Shape{static_cast<int64_t>(values.size())});
  names_.emplace(vector.buffer.get(), name);
  std::copy(values.begin(), values.end(), vector.as<float>());
  return vector;
}

}  // namespace reprise::models
