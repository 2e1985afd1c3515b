// The host's side of a long-lived tensor: what the host fills before a step, or reads after it.
#pragma once

#include <cstddef>
#include <memory>

#include "core/memory.h"
#include "core/tensor.h"

namespace reprise {

// Where the host sees the device's memory a mirror is the tensor itself and the copies cost nothing;
// elsewhere it is a buffer of the host's, as large, filled with zeros. One thread. The tensor's storage
// outlives it.
class HostMirror {
 public:
  HostMirror() = default;
  // Of the first `bytes` bytes of `tensor`, which lies in `space`.
  HostMirror(MemorySpace& space, const Tensor& tensor, size_t bytes);

  std::byte* data() const { return host_; }
  template <typename T>
  T* as() const {
    return reinterpret_cast<T*>(host_);
  }

  // Carry bytes [offset, offset + bytes) to the device and back.
  void upload(size_t offset, size_t bytes) const {
    if (own_ != nullptr) copy_up(offset, bytes);
  }
  void download(size_t offset, size_t bytes) const {
    if (own_ != nullptr) copy_down(offset, bytes);
  }

 private:
  void copy_up(size_t offset, size_t bytes) const;
  void copy_down(size_t offset, size_t bytes) const;

  MemorySpace* space_ = nullptr;
  std::byte* device_ = nullptr;
  std::byte* host_ = nullptr;
  std::unique_ptr<std::byte[]> own_;  // null where the tensor is its own mirror
};

}  // namespace reprise
