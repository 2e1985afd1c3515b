#include "models/weight_loader.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <exception>
#include <mutex>
#include <optional>

#include "core/error.h"
#include "core/host_mirror.h"
#include "models/weight_digest.h"

namespace reprise::models {
namespace {

// Panels that one claim reads and packs.
constexpr int64_t kPanelsPerClaim = 4;

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

WeightLoader::WeightLoader(const weights::Checkpoint* source, HeapStore& store, const WeightPacker& packer,
                           ThreadTeam& team, DType dtype, Shard shard)
    : source_(source),
      store_(store),
      packer_(packer),
      team_(team),
      dtype_(dtype),
      packing_(packer.packing_of(dtype)),
      shard_(shard) {
  if (shard.rank < 0 || shard.rank >= shard.world)
    throw Error("[load] rank {} of {} ranks; ranks count from 0 and are below their number", shard.rank,
                shard.world);
}

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

Tensor WeightLoader::matrix(const std::string& name, int64_t n, int64_t k, Split split) {
  return load_matrix(name, name, n, k, split);
}

Tensor WeightLoader::load_matrix(const std::string& name, const std::string& stored, int64_t n, int64_t k,
                                 Split split) {
  requested_.emplace_back(name, std::vector<int64_t>{n, k});
  if (source_ != nullptr) source_->expect(stored, std::array{n, k});
  int64_t begin = 0, end = n;
  if (split == Split::rows) {
    const PackedSize size = packed_size(packing_, {n, k});
    if (size.panels < shard_.world)
      throw Error("[load] '{}' [{}, {}] has {} panels of {} rows, too few for {} ranks; use at most {} ranks",
                  name, n, k, size.panels, size.panel_rows, shard_.world, size.panels);
    const int64_t each = size.panels / shard_.world, more = size.panels % shard_.world;
    const auto first_panel = [&](int64_t rank) { return rank * each + std::min(rank, more); };
    begin = first_panel(shard_.rank) * size.panel_rows;
    end = std::min(n, first_panel(shard_.rank + 1) * size.panel_rows);
  }
  return pack(name, {end - begin, k}, std::array{Source{stored, begin}});
}

Tensor WeightLoader::matrices(std::span<const std::string> names, int64_t n, int64_t k) {
  REPRISE_CHECK(!names.empty(), "a stack of no matrices [{}, {}]", n, k);
  std::vector<Source> sources;
  for (const std::string& name : names) {
    requested_.emplace_back(name, std::vector<int64_t>{n, k});
    if (source_ != nullptr) source_->expect(name, std::array{n, k});
    sources.push_back({name, 0});
  }
  const auto experts = static_cast<int64_t>(names.size());
  return pack(experts == 1 ? names[0] : fmt::format("{}+{}", names[0], experts - 1), {experts, n, k},
              sources);
}

Tensor WeightLoader::matrices(const std::string& name, int64_t experts, int64_t n, int64_t k) {
  requested_.emplace_back(name, std::vector<int64_t>{experts, n, k});
  if (source_ != nullptr) source_->expect(name, std::array{experts, n, k});
  std::vector<Source> sources;
  for (int64_t expert = 0; expert < experts; ++expert) sources.push_back({name, expert * n});
  return pack(name, {experts, n, k}, sources);
}

Tensor WeightLoader::pack(const std::string& name, const Shape& shape, std::span<const Source> sources) {
  const Tensor packed = store_.allocate(dtype_, shape, packing_);
  names_.emplace(packed.buffer.get(), name);
  if (source_ == nullptr) return packed;
  const PackedSize size = packed_size(packing_, shape);
  const int64_t n = shape[shape.rank() - 2].constant, k = shape.back().constant;
  const HostMirror mirror(*store_.space(), packed, size.bytes());
  // bf16 to bf16 is packed straight from the mapped file.
  std::vector<std::optional<std::span<const std::byte>>> raw(sources.size());
  for (size_t i = 0; i < sources.size(); ++i)
    if (dtype_ == DType::bf16 && source_->info(sources[i].stored).type == weights::StoredType::bf16)
      raw[i] = source_->raw(sources[i].stored);
  std::vector<std::atomic<uint64_t>> digests(sources.size());
  const int64_t claims = (size.panels + kPanelsPerClaim - 1) / kPanelsPerClaim;  // of a matrix
  const auto pack_claim = [&](int64_t claim, std::vector<float>& values) {
    const auto index = static_cast<size_t>(claim / claims);
    const Source& source = sources[index];
    StoredRows rows;
    rows.begin = claim % claims * kPanelsPerClaim * size.panel_rows;
    rows.end = std::min(n, rows.begin + kPanelsPerClaim * size.panel_rows);
    if (raw[index]) {
      rows.dtype = DType::bf16;
      rows.data = raw[index]->data() + (source.first_row + rows.begin) * k * 2;
    } else {
      values.resize(static_cast<size_t>((rows.end - rows.begin) * k));
      source_->read_rows_f32(source.stored, source.first_row + rows.begin, source.first_row + rows.end,
                             values.data());
      rows.data = reinterpret_cast<const std::byte*>(values.data());
    }
    // While they are in the cache for the packer.
    digests[index] += digest_of_rows(rows.data, static_cast<size_t>(k) * (raw[index] ? 2 : sizeof(float)),
                                     source.first_row + rows.begin, rows.end - rows.begin);
    packer_.pack_rows(packing_, rows, n, k, mirror.data() + index * size.matrix_bytes());
  };
  std::mutex mutex;
  std::exception_ptr failure;  // of any worker: jobs of the team may not throw
  team_.parallel_for(size.matrices * claims, 1, [&](int64_t first, int64_t last, int) {
    try {
      std::vector<float> values;
      for (int64_t claim = first; claim < last; ++claim) pack_claim(claim, values);
    } catch (...) {
      const std::lock_guard lock(mutex);
      failure = std::current_exception();
    }
  });
  if (failure) std::rethrow_exception(failure);
  mirror.upload(0, size.bytes());
  for (size_t i = 0; i < sources.size(); ++i) {
    digest_ = digest_with(digest_, sources[i].stored, digests[i]);
    source_->release(sources[i].stored);
  }
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
  digest_ =
      digest_with(digest_, name, digest_of_rows(mirror.data(), static_cast<size_t>(n) * sizeof(float), 0, 1));
  mirror.upload(0, static_cast<size_t>(n) * sizeof(float));
  source_->release(name);
  return vector;
}

Tensor WeightLoader::constant(const std::string& name, const std::vector<float>& values) {
  const Tensor vector = store_.allocate(DType::f32, Shape{static_cast<int64_t>(values.size())});
  names_.emplace(vector.buffer.get(), name);
  const auto* bytes = reinterpret_cast<const std::byte*>(values.data());
  digest_ = digest_with(digest_, name, digest_of_rows(bytes, values.size() * sizeof(float), 0, 1));
  store_.space()->upload(vector.data(), bytes, values.size() * sizeof(float));
  return vector;
}

}  // namespace reprise::models
