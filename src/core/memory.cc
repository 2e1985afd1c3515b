#include "core/memory.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

#include "core/capture_rules.h"
#include "core/error.h"

namespace reprise {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kHugePage = size_t{2} << 20;

class HostMemory final : public MemorySpace {
 public:
  bool host_visible() const override { return true; }

  std::byte* take(size_t bytes) override {
    const bool huge = bytes >= 2 * kHugePage;
    // Reserve one huge page more to align the start, then give the edges back.
    const size_t reserve = huge ? bytes + kHugePage : bytes;
    void* base =
        mmap(nullptr, reserve, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED)
      throw Error(
          "[memory] out of memory: the system refused {} bytes; free memory, or use a smaller model, "
          "context or batch",
          bytes);
    auto* data = static_cast<std::byte*>(base);
    if (huge) {
      const size_t head = (kHugePage - reinterpret_cast<uintptr_t>(base) % kHugePage) % kHugePage;
      if (head > 0) munmap(base, head);
      data += head;
      const size_t tail_begin = (bytes + kPage - 1) / kPage * kPage;
      if (reserve > head + tail_begin) munmap(data + tail_begin, reserve - head - tail_begin);
      madvise(data, bytes, MADV_HUGEPAGE);
    }
    return data;
  }
  void give_back(std::byte* data, size_t bytes) noexcept override { munmap(data, bytes); }

  void upload(std::byte* to, const std::byte* from, size_t bytes) override { std::memcpy(to, from, bytes); }
  void download(std::byte* to, const std::byte* from, size_t bytes) override { std::memcpy(to, from, bytes); }

  void fill(std::byte* data, int value, size_t bytes) override { std::memset(data, value, bytes); }

  void touch(std::byte* data, size_t bytes) override {
    for (size_t at = 0; at < bytes; at += kPage) {
      volatile std::byte& first = data[at];
      first = first;
    }
  }

  // Private anonymous pages: zeros when they are next touched. A refusal (locked memory) costs only memory.
  void discard(std::byte* data, size_t bytes) noexcept override { madvise(data, bytes, MADV_DONTNEED); }
};

}  // namespace

MemorySpace& host_memory() {
  static HostMemory memory;
  return memory;
}

MemoryRange::MemoryRange(MemorySpace& space, size_t bytes) : space_(&space), bytes_(bytes) {
  if (bytes == 0) return;
  if (recording_on_this_thread())
    refuse_while_recording(CaptureRule::allocate, std::to_string(bytes) + " bytes are asked of the system");
  data_ = space.take(bytes);
}

MemoryRange::~MemoryRange() {
  if (data_ != nullptr) space_->give_back(data_, bytes_);
}
MemoryRange::MemoryRange(MemoryRange&& other) noexcept
    : space_(other.space_),
      data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)) {}
MemoryRange& MemoryRange::operator=(MemoryRange&& other) noexcept {
  std::swap(space_, other.space_);
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

void MemoryRange::touch() {
  if (data_ != nullptr) space_->touch(data_, bytes_);
}

void MemoryRange::discard() noexcept {
  if (data_ != nullptr) space_->discard(data_, bytes_);
}

}  // namespace reprise
