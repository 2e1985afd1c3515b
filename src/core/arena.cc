#include "core/arena.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "core/capture_rules.h"
#include "core/error.h"

namespace reprise {
namespace {

constexpr size_t kAlignment = 64;
// Long-lived tensors share mappings, so that those below the size of a huge page lie in huge pages as well: a
// weight of 2 MiB in small ones is read at two thirds of the speed. The first mapping is small, and all that
// many a store needs.
constexpr size_t kFirstSlab = size_t{1} << 20;
// Address space; what is lost is the rest of a huge page at the end of each.
constexpr size_t kSlab = size_t{128} << 20;
constexpr size_t kOwnMapping = size_t{8} << 20;  // tensors from this size on
// Ranges of an arena that differ by a multiple of 4 KiB share cache sets; an odd number of lines between them
// spreads the buffers of a small step over the sets.
constexpr size_t kStagger = 7 * kAlignment;

constexpr size_t round_up(size_t value, size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

}  // namespace

std::string_view name_of(BufferKind kind) {
  switch (kind) {
    case BufferKind::arena:
      return "arena";
    case BufferKind::weight:
      return "weight";
    case BufferKind::input:
      return "input";
    case BufferKind::state:
      return "state";
  }
  return "unknown";
}

StepArena::StepArena(Dry) : StepArena(nullptr, 0) {}
StepArena::StepArena(MemorySpace& space, size_t capacity) : StepArena(nullptr, capacity) {
  memory_ = MemoryRange(space, capacity);
  base_ = memory_.data();
}
StepArena::StepArena(std::byte* memory, size_t capacity) : base_(memory), capacity_(capacity) {
  free_.reserve(256);
  spare_nodes_.reserve(256);
  free_.push_back({0, capacity == 0 ? SIZE_MAX / 2 : capacity});
}
StepArena::~StepArena() = default;

Tensor StepArena::allocate(DType dtype, const Shape& shape) {
  const auto wanted = static_cast<size_t>(shape.elements().eval(sizing_)) * size_of(dtype);
  const size_t bytes = round_up(wanted, kAlignment) + kStagger;
  auto best = free_.end();
  for (auto range = free_.begin(); range != free_.end(); ++range)
    if (range->bytes >= bytes && (best == free_.end() || range->bytes < best->bytes)) best = range;
  if (best == free_.end())
    throw Error(
        "[arena] {} bytes for {} don't fit: {} of {} bytes are in use; the step is larger than planned",
        bytes, to_string(shape), used_, capacity());
  Buffer* node;
  if (spare_nodes_.empty()) {
    // release() runs in destructors and may not allocate: there is space for every node there, and for a free
    // range before, between and behind any of them.
    const size_t nodes = nodes_.size() + 1;
    if (spare_nodes_.capacity() < nodes) spare_nodes_.reserve(2 * nodes);
    if (free_.capacity() <= nodes) {
      const auto place = best - free_.begin();
      free_.reserve(2 * nodes + 1);
      best = free_.begin() + place;
    }
    node = &nodes_.emplace_back();
  } else {
    node = spare_nodes_.back();
    spare_nodes_.pop_back();
  }
  node->data = base_ == nullptr ? nullptr : base_ + best->offset;
  node->bytes = bytes;
  node->kind = BufferKind::arena;
  node->id = best->offset;
  node->owner = this;
  used_ += bytes;
  peak_ = std::max(peak_, best->offset + bytes);
  best->offset += bytes;
  best->bytes -= bytes;
  if (best->bytes == 0) free_.erase(best);
  return {.buffer = BufferRef(node), .offset = 0, .dtype = dtype, .packing = kRowMajor, .shape = shape};
}

void StepArena::release(Buffer& buffer) {
  const Range freed{buffer.id, buffer.bytes};
  used_ -= freed.bytes;
  spare_nodes_.push_back(&buffer);
  auto next = std::lower_bound(free_.begin(), free_.end(), freed.offset,
                               [](const Range& range, size_t offset) { return range.offset < offset; });
  const bool joins_next = next != free_.end() && freed.offset + freed.bytes == next->offset;
  const bool joins_previous = next != free_.begin() && (next - 1)->offset + (next - 1)->bytes == freed.offset;
  if (joins_previous && joins_next) {
    (next - 1)->bytes += freed.bytes + next->bytes;
    free_.erase(next);
  } else if (joins_previous) {
    (next - 1)->bytes += freed.bytes;
  } else if (joins_next) {
    next->offset = freed.offset;
    next->bytes += freed.bytes;
  } else {
    free_.insert(next, freed);
  }
}

MemoryRange HeapStore::map(size_t bytes) const {
  return space_ == nullptr ? MemoryRange() : MemoryRange(*space_, bytes);
}

Tensor HeapStore::allocate(DType dtype, const Shape& shape, const Packing& packing) {
  REPRISE_CHECK(shape.elements().is_constant(), "a long-lived tensor of shape {}", to_string(shape));
  Tensor tensor{.buffer = {}, .offset = 0, .dtype = dtype, .packing = packing, .shape = shape};
  const auto bytes = static_cast<size_t>(tensor.extent().constant);
  if (recording_on_this_thread())
    refuse_while_recording(
        CaptureRule::allocate,
        fmt::format("a long-lived tensor of shape {} ({} bytes) is allocated", to_string(shape), bytes));
  const size_t rounded = round_up(std::max<size_t>(bytes, 1), kAlignment);
  // What may throw comes first, so that a store whose memory was refused is as it was.
  std::byte* data = nullptr;
  const bool own = rounded >= kOwnMapping;
  if (own) {
    data = mappings_.emplace_back(map(rounded)).data();
  } else if (slab_left_ < rounded) {
    const size_t slab = slab_ == nullptr && rounded <= kFirstSlab ? kFirstSlab : kSlab;
    slab_ = mappings_.emplace_back(map(slab)).data();
    slab_left_ = slab;
  }
  Buffer& node = nodes_.emplace_back();
  bytes_ += rounded;
  if (!own) {
    data = slab_;
    if (space_ != nullptr) slab_ += rounded;
    slab_left_ -= rounded;
  }
  node.data = data;
  node.bytes = bytes;
  node.kind = kind_;
  static std::atomic<uint64_t> next_id{0};  // of all stores: a recording knows buffers by kind and number
  node.id = next_id.fetch_add(1, std::memory_order_relaxed);
  node.owner = this;
  tensor.buffer = BufferRef(&node);
  return tensor;
}

void HeapStore::touch() {
  if (space_ == nullptr) return;
  for (const Buffer& node : nodes_) space_->touch(node.data, node.bytes);
}

void HeapStore::discard() noexcept {
  for (MemoryRange& mapping : mappings_) mapping.discard();
}

}  // namespace reprise
