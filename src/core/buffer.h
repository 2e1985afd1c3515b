// Memory that launches refer to. A buffer knows what it is (a place in the arena, a weight, an input ...), so
// a recording can hold (kind, id, offset into the buffer) instead of a raw address; it can then be checked,
// printed and given new addresses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

namespace reprise {

enum class BufferKind : uint8_t {
  arena,   // an intermediate of one step; `id` is its byte offset in the arena
  weight,  // constant after load
  input,   // persistent buffer that the host fills before a step
  state,   // survives steps and is written by kernels: KV cache, sampler state, sampled ids
};
std::string_view name_of(BufferKind kind);

class Buffer;

// Who gets a buffer back when its last reference is gone. Must outlive every reference. release() runs in
// destructors and may not throw.
class BufferOwner {
 public:
  virtual void release(Buffer& buffer) = 0;

 protected:
  ~BufferOwner() = default;
};

class Buffer {
 public:
  Buffer() = default;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  std::byte* data = nullptr;  // null in a dry arena or store (core/arena.h)
  size_t bytes = 0;
  BufferKind kind = BufferKind::arena;
  uint64_t id = 0;               // byte offset in the arena; of the other kinds a number that no other has
  BufferOwner* owner = nullptr;  // set before the first BufferRef

 private:
  friend class BufferRef;
  int64_t references_ = 0;
};

// Counted reference. Not atomic: buffers belong to the thread that runs the model (or, while loading, the one
// that loads); another thread may take them over with synchronisation (happens-before).
class BufferRef {
 public:
  BufferRef() = default;
  explicit BufferRef(Buffer* buffer) : buffer_(buffer) { retain(); }
  BufferRef(const BufferRef& other) : buffer_(other.buffer_) { retain(); }
  BufferRef(BufferRef&& other) noexcept : buffer_(std::exchange(other.buffer_, nullptr)) {}
  BufferRef& operator=(BufferRef other) noexcept {
    std::swap(buffer_, other.buffer_);
    return *this;
  }
  ~BufferRef() { reset(); }

  void reset() {
    if (Buffer* buffer = std::exchange(buffer_, nullptr); buffer != nullptr && --buffer->references_ == 0)
      buffer->owner->release(*buffer);
  }
  Buffer* get() const { return buffer_; }
  Buffer* operator->() const { return buffer_; }
  Buffer& operator*() const { return *buffer_; }
  explicit operator bool() const { return buffer_ != nullptr; }

 private:
  void retain() {
    if (buffer_ != nullptr) ++buffer_->references_;
  }
  Buffer* buffer_ = nullptr;
};

}  // namespace reprise
