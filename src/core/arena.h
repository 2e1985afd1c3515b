// Where tensors get their memory, and how many bytes of it. `StepArena` holds the intermediates of one step
// in one reserved range; `HeapStore` holds what lives long (weights, inputs, KV cache). Besides tensors only
// a stream's workspace (core/device.h) takes memory of the device.
//
// Both can be made dry (kDry in place of a MemorySpace): they only count. No memory is taken and tensors have
// null addresses. So the memory of a model is known before any of it is taken.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "core/buffer.h"
#include "core/memory.h"
#include "core/tensor.h"

namespace reprise {

inline constexpr struct Dry {
} kDry;

// Best-fit allocator over one range. Offsets depend only on the order of calls and on the sizes asked for, so
// two runs of the same model code with the same `sizing` get the same offsets. After the first steps no heap
// memory is taken: Buffer nodes and the free list are reused. One thread; the arena must outlive its tensors.
class StepArena final : public BufferOwner {
 public:
  // A dry arena, which is never full; only its `peak()` is of use.
  explicit StepArena(Dry);
  // Reserves the memory; throws as MemoryRange does. `space` outlives the arena.
  StepArena(MemorySpace& space, size_t capacity);
  // Over memory of the caller's, which must be 64-byte aligned and outlive the arena.
  StepArena(std::byte* memory, size_t capacity);
  ~StepArena();

  // The T tokens, S sequences and R rows that tensors get space for; at least those of the step that runs.
  void set_sizing(StepSizes sizing) { sizing_ = sizing; }
  StepSizes sizing() const { return sizing_; }

  // 64-byte aligned, contents undefined; the space is free again when the tensor's last reference is gone.
  // May be called while a recording is made. Throws Error when the arena is full.
  Tensor allocate(DType dtype, const Shape& shape);

  size_t capacity() const { return capacity_; }
  size_t used() const { return used_; }
  // The highest end of a tensor since the last reset, in bytes from the start.
  size_t peak() const { return peak_; }
  // May be called while no tensor is alive.
  void reset_peak() { peak_ = 0; }

  void release(Buffer& buffer) override;

 private:
  struct Range {
    size_t offset;
    size_t bytes;
  };
  MemoryRange memory_;  // empty: dry, or the caller's
  std::byte* base_;     // null: dry
  size_t capacity_;
  StepSizes sizing_;
  std::vector<Range> free_;  // sorted by offset, no two adjacent
  std::deque<Buffer> nodes_;
  std::vector<Buffer*> spare_nodes_;
  size_t used_ = 0;  // bytes of live tensors, alignment included
  size_t peak_ = 0;  // highest end of a tensor
};

// Long-lived tensors: each large one in a mapping of its own, small ones together in slabs. All memory is
// freed with the store, which must outlive its tensors. One thread.
class HeapStore final : public BufferOwner {
 public:
  // `space` outlives the store.
  HeapStore(BufferKind kind, MemorySpace& space) : kind_(kind), space_(&space) {}
  // Dry: tensors have null addresses; bytes() counts all the same.
  HeapStore(BufferKind kind, Dry) : kind_(kind) {}

  // Zero-filled, 64-byte aligned. Throws Error when memory runs out, InternalError when the shape depends on
  // T or S, CaptureError while this thread records.
  Tensor allocate(DType dtype, const Shape& shape, const Packing& packing = kRowMajor);

  MemorySpace* space() const { return space_; }  // null: dry
  size_t bytes() const { return bytes_; }        // of the tensors, with their alignment
  void touch();                                  // makes all of it resident
  void discard() noexcept;                       // MemorySpace::discard() for all of it
  void release(Buffer&) override {}              // freed with the store

 private:
  MemoryRange map(size_t bytes) const;

  BufferKind kind_;
  MemorySpace* space_ = nullptr;
  std::deque<Buffer> nodes_;
  std::vector<MemoryRange> mappings_;
  std::byte* slab_ = nullptr;
  size_t slab_left_ = 0;
  size_t bytes_ = 0;
};

}  // namespace reprise
