#include "models/weight_loader.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <exception>
#include <mutex>
#include <optional>

#include "core/error.h"
#include "core/host_mirror.h"
#include "ops/packed_weight.h"

namespace reprise::models {
namespace {

// Rows that one claim reads and packs; a multiple of the 32 rows of a panel (kernels/cpu/pack.h).
constexpr int64_t kRowsPerClaim = 128;

// Whether both matrices hold the same numbers: the same bytes, or the same values where their types differ.
bool same_numbers(const weights::Checkpoint& source, const std::string& a, const std::string& b, int64_t rows,
                  int64_t columns) {
  const auto raw_a = source.raw(a), raw_b = source.raw(b);
  if (raw_a && raw_b && source.info(a).type == source.info(b).type) return std::ranges::equal(*raw_a, *raw_b);
  std::vector<float> row_a(static_cast<size_t>(columns)), row_b(row_a.size());
  for (int64_t row = 0; row < rows; ++row) {
    source.read_rows_f32(a, row, row + 1, row_a.data());
    source.read_rows_f32(b, row, row + 1, row_b.data());
    if (std::memcmp(row_a.data(), row_b.data(), row_a.size() * sizeof(float)) != 0) return false;
  }
  return true;
}

}  // namespace

Tensor WeightLoader::tied_matrix(const std::string& embedding, const std::string& head, int64_t n,
                                 int64_t k) {
  const bool has_head = source_ != nullptr && source_->has(head);
  if (!has_head || !source_->has(embedding)) return load_matrix(embedding, has_head ? head : embedding, n, k);
  source_->expect(embedding, std::array{n, k});
  source_->expect(head, std::array{n, k});
  if (!same_numbers(*source_, embedding, head, n, k))
    throw Error(
        "{}: the config says that '{}' and '{}' are tied (\"tie_word_embeddings\" is true or left out), but "
        "both are stored and differ; set it to false to use both (as transformers 5 does), or remove '{}' "
        "to use the embedding for both",
        source_->description(), embedding, head, head);
  source_->release(head);
  return load_matrix(embedding, embedding, n, k);
}

Tensor WeightLoader::head_matrix(const std::string& head, int64_t n, int64_t k) {
  if (source_ != nullptr && !source_->has(head))
    throw Error(
        "{}: no tensor '{}', though the config says that the head is not tied to the embedding; fetch the "
        "whole checkpoint, or set \"tie_word_embeddings\": true if the model is tied",
        source_->description(), head);
  return matrix(head, n, k);
}

Tensor WeightLoader::matrix(const std::string& name, int64_t n, int64_t k) {
  return load_matrix(name, name, n, k);
}

Tensor WeightLoader::load_matrix(const std::string& name, const std::string& stored, int64_t n, int64_t k) {
  requested_.emplace_back(name, std::vector<int64_t>{n, k});
  const Tensor packed =
      store_.allocate_bytes(ops::packed_bytes(dtype_, n, k), dtype_, Shape{n, k}, Layout::panels);
  names_.emplace(packed.buffer.get(), name);
  if (source_ == nullptr) return packed;
  const HostMirror mirror(*store_.space(), packed, packed.buffer->bytes);
  const weights::TensorInfo& info = source_->expect(stored, std::array{n, k});
  // bf16 to bf16 is packed straight from the mapped file.
  const auto bf16 =
      dtype_ == DType::bf16 && info.type == weights::StoredType::bf16 ? source_->raw(stored) : std::nullopt;
  std::mutex mutex;
  std::exception_ptr failure;  // of any worker: jobs of the team may not throw
  team_.parallel_for((n + kRowsPerClaim - 1) / kRowsPerClaim, 1, [&](int64_t first, int64_t last, int) {
    try {
      std::vector<float> rows;
      for (int64_t claim = first; claim < last; ++claim) {
        const int64_t begin = claim * kRowsPerClaim;
        const int64_t end = std::min(n, begin + kRowsPerClaim);
        if (bf16) {
          ops::pack_bf16_rows(bf16->data() + begin * k * 2, begin, end, packed, mirror.data());
        } else {
          rows.resize(static_cast<size_t>((end - begin) * k));
          source_->read_rows_f32(stored, begin, end, rows.data());
          ops::pack_f32_rows(rows.data(), begin, end, packed, mirror.data());
        }
      }
    } catch (...) {
      const std::lock_guard lock(mutex);
      failure = std::current_exception();
    }
  });
  if (failure) std::rethrow_exception(failure);
  mirror.upload(0, packed.buffer->bytes);
  source_->release(stored);
  return packed;
}

Tensor WeightLoader::vector(const std::string& name, int64_t n) {
  requested_.emplace_back(name, std::vector<int64_t>{n});
  const Tensor vector = store_.allocate(DType::f32, Shape{n});
  names_.emplace(vector.buffer.get(), name);
  if (source_ == nullptr) return vector;
  source_->expect(name, std::array{n});
  const HostMirror mirror(*store_.space(), vector, static_cast<size_t>(n) * sizeof(float));
  source_->read_rows_f32(name, 0, 1, mirror.as<float>());
  mirror.upload(0, static_cast<size_t>(n) * sizeof(float));
  source_->release(name);
  return vector;
}

Tensor WeightLoader::constant(const std::string& name, const std::vector<float>& values) {
  const Tensor vector = store_.allocate(DType::f32, Shape{static_cast<int64_t>(values.size())});
  names_.emplace(vector.buffer.get(), name);
  store_.space()->upload(vector.data(), reinterpret_cast<const std::byte*>(values.data()),
                         values.size() * sizeof(float));
  return vector;
}

}  // namespace reprise::models
