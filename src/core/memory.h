// Where ranges of memory come from: the host, or a device with memory of its own.
#pragma once

#include <cstddef>

namespace reprise {

// Thread contract: any thread, but one at a time for the same range.
class MemorySpace {
 public:
  virtual ~MemorySpace() = default;

  // Whether the host may read and write its ranges in place while no launch runs. Where not, only upload()
  // and download() reach them.
  virtual bool host_visible() const = 0;

  // A range of `bytes` (above 0), filled with zeros, aligned to 64 bytes. Throws Error when there is no
  // memory left.
  virtual std::byte* take(size_t bytes) = 0;
  virtual void give_back(std::byte* data, size_t bytes) noexcept = 0;

  // Copies between a range of this memory and the host's. Launches that use the range are complete.
  virtual void upload(std::byte* to, const std::byte* from, size_t bytes) = 0;
  virtual void download(std::byte* to, const std::byte* from, size_t bytes) = 0;

  // Every byte becomes `value`.
  virtual void fill(std::byte* data, int value, size_t bytes) = 0;

  // Makes the whole range resident and keeps its contents, so that a memory plan can be compared with what
  // the system reports. Nothing to do where memory is resident from the start.
  virtual void touch(std::byte* data, size_t bytes) = 0;

  // For a whole range whose contents nobody needs: gives its memory back to the system until it is used again.
  // The contents are undefined afterwards; the addresses stay.
  virtual void discard(std::byte* data, size_t bytes) noexcept = 0;
};

// Address ranges from the system, which take memory when they are touched; large ones ask for huge pages.
MemorySpace& host_memory();

// A range that is given back with the object. Throws as MemorySpace::take() does, and CaptureError while this
// thread records.
class MemoryRange {
 public:
  MemoryRange() = default;
  MemoryRange(MemorySpace& space, size_t bytes);  // 0 bytes: no memory, a null address
  ~MemoryRange();
  MemoryRange(MemoryRange&& other) noexcept;
  MemoryRange& operator=(MemoryRange&& other) noexcept;

  std::byte* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  void touch();
  void discard() noexcept;

 private:
  MemorySpace* space_ = nullptr;
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace reprise
