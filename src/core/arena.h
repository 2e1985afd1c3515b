// Two allocators, both counted. `StepArena` holds the intermediates of one step in one reserved range;
// `HeapStore` holds what lives long (weights, inputs, KV cache). Nothing else in the engine allocates device
// memory.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "core/buffer.h"
#include "core/tensor.h"

namespace reprise {

// Makes every page of a range resident and keeps its contents: to compare what was planned with what the
// system counts.
void touch_pages(std::byte* data, size_t bytes);

// Address range from the system, zero-filled on first touch; large ones ask for huge pages. Throws Error when
// the system has no memory left, CaptureError while this thread records.
class MappedMemory {
 public:
  MappedMemory() = default;
  explicit MappedMemory(size_t bytes);
  ~MappedMemory();
  MappedMemory(MappedMemory&& other) noexcept;
  MappedMemory& operator=(MappedMemory&& other) noexcept;

  std::byte* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
};

// Best-fit allocator over one range. Offsets depend only on the order of calls and on the sizes asked for, so
// two runs of the same model code with the same `sizing` get the same addresses. Steady state allocates
// nothing: Buffer nodes and the free list are reused. One thread.
class StepArena final : public BufferOwner {
 public:
  // `capacity` 0 makes a dry arena: addresses are null, only `peak()` is of use.
  explicit StepArena(size_t capacity);
  // Over memory of the caller's, 64-byte aligned, which outlives it.
  StepArena(std::byte* memory, size_t capacity);
  ~StepArena();

  // Tensors are sized for these T and S, at least as large as those of the step that runs.
  void set_sizing(StepSizes sizing) { sizing_ = sizing; }
  StepSizes sizing() const { return sizing_; }

  // Contents are undefined. Throws Error when the arena is full.
  Tensor allocate(DType dtype, const Shape& shape);

  size_t capacity() const { return capacity_; }
  size_t used() const { return used_; }
  size_t peak() const { return peak_; }
  void reset_peak() { peak_ = used_; }

  void release(Buffer& buffer) override;

 private:
  struct Range {
    size_t offset;
    size_t bytes;
  };
  MappedMemory memory_;  // empty: dry, or the caller's
  std::byte* base_;      // null: dry
  size_t capacity_;
  StepSizes sizing_;
  std::vector<Range> free_;  // sorted by offset, no two adjacent
  std::deque<Buffer> nodes_;
  std::vector<Buffer*> spare_nodes_;
  size_t used_ = 0;  // bytes handed out, alignment included
  size_t peak_ = 0;  // highest end of a range handed out
};

// Long-lived tensors, each in a mapping (large) or a slab (small) of its own; freed with the store. One
// thread.
class HeapStore final : public BufferOwner {
 public:
  // `dry`: nothing is mapped, tensors have no address, bytes() counts all the same.
  explicit HeapStore(BufferKind kind, bool dry = false) : kind_(kind), dry_(dry) {}

  // Zero-filled, 64-byte aligned. The shape must be constant. Throws Error when memory runs out, CaptureError
  // while this thread records.
  Tensor allocate(DType dtype, const Shape& shape, Layout layout = Layout::row_major);
  // `bytes` of storage for a tensor whose bytes don't follow from shape and dtype (packed weights).
  Tensor allocate_bytes(size_t bytes, DType dtype, const Shape& shape, Layout layout);

  size_t bytes() const { return bytes_; }  // of the tensors
  void touch();                            // all of it
  void release(Buffer&) override {}        // freed with the store

 private:
  MappedMemory map(size_t bytes) const;

  BufferKind kind_;
  bool dry_;
  std::deque<Buffer> nodes_;
  std::vector<MappedMemory> mappings_;
  std::byte* slab_ = nullptr;
  size_t slab_left_ = 0;
  size_t bytes_ = 0;
};

}  // namespace reprise
