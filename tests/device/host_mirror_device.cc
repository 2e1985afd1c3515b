#include "tests/device/host_mirror_device.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>

#include "core/error.h"

namespace reprise {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kAddresses = size_t{64} << 30;

size_t whole_pages(size_t bytes) {
  return (bytes + kPage - 1) / kPage * kPage;
}

// Opens the memory while a replay runs; in between, nobody may look.
class GuardedReplay final : public capture::Executable {
 public:
  GuardedReplay(ProtectedMemory& memory, std::unique_ptr<capture::Executable> replay)
      : memory_(memory), replay_(std::move(replay)) {}

  void run(StepSizes sizes, Profiler* profiler) override {
    const ProtectedMemory::Open open(memory_);
    replay_->run(sizes, profiler);
  }
  void run_node(size_t node, StepSizes sizes) override {
    const ProtectedMemory::Open open(memory_);
    replay_->run_node(node, sizes);
  }
  const capture::Recording& recording() const override { return replay_->recording(); }
  std::span<const int32_t> waits_of(size_t node) const override { return replay_->waits_of(node); }
  size_t bytes() const override { return replay_->bytes(); }

 private:
  ProtectedMemory& memory_;
  std::unique_ptr<capture::Executable> replay_;
};

class MirrorStream final : public CpuStream {
 public:
  explicit MirrorStream(HostMirrorDevice& device) : CpuStream(device), memory_(device.protected_memory()) {}

  void run(const Launch& launch, const StepSizes& sizes, Profiler* profiler) override {
    for (const BufferArg& argument : launch.buffers)
      if (argument.buffer != nullptr)
        REPRISE_CHECK(memory_.holds(argument.buffer->data + argument.offset,
                                    static_cast<size_t>(argument.extent.eval(sizes))),
                      "kernel '{}' of op '{}' got a buffer that is not of its device", launch.kernel.name,
                      launch.op);
    const ProtectedMemory::Open open(memory_);
    CpuStream::run(launch, sizes, profiler);
  }
  std::unique_ptr<capture::Executable> instantiate(capture::Recording recording, StepSizes largest) override {
    return std::make_unique<GuardedReplay>(memory_, CpuStream::instantiate(std::move(recording), largest));
  }

 private:
  ProtectedMemory& memory_;
};

}  // namespace

ProtectedMemory::ProtectedMemory() {
  void* base = mmap(nullptr, kAddresses, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) throw Error("[test device] no range of addresses of {} bytes", kAddresses);
  base_ = static_cast<std::byte*>(base);
}

ProtectedMemory::~ProtectedMemory() {
  munmap(base_, kAddresses);
}

std::byte* ProtectedMemory::take(size_t bytes) {
  const std::scoped_lock lock(mutex_);
  if (used_ + whole_pages(bytes) > kAddresses) throw Error("[test device] {} bytes do not fit", bytes);
  std::byte* const data = base_ + used_;
  used_ += whole_pages(bytes);
  if (open_ > 0) mprotect(data, whole_pages(bytes), PROT_READ | PROT_WRITE);
  return data;
}

void ProtectedMemory::give_back(std::byte* data, size_t bytes) noexcept {
  madvise(data, whole_pages(bytes), MADV_DONTNEED);
}

void ProtectedMemory::open(int change) {
  const std::scoped_lock lock(mutex_);
  const bool was = open_ > 0;
  open_ += change;
  if (was == (open_ > 0) || used_ == 0) return;
  mprotect(base_, used_, open_ > 0 ? PROT_READ | PROT_WRITE : PROT_NONE);
}

bool ProtectedMemory::holds(const std::byte* data, size_t bytes) const {
  const std::scoped_lock lock(mutex_);
  return bytes == 0 || (data >= base_ && data + bytes <= base_ + used_);
}

void ProtectedMemory::upload(std::byte* to, const std::byte* from, size_t bytes) {
  REPRISE_CHECK(holds(to, bytes) && !holds(from, 1), "an upload to where no device memory is");
  const Open open(*this);
  std::memcpy(to, from, bytes);
}

void ProtectedMemory::download(std::byte* to, const std::byte* from, size_t bytes) {
  REPRISE_CHECK(holds(from, bytes) && !holds(to, 1), "a download from where no device memory is");
  const Open open(*this);
  std::memcpy(to, from, bytes);
}

void ProtectedMemory::fill(std::byte* data, int value, size_t bytes) {
  REPRISE_CHECK(holds(data, bytes), "{} bytes are filled where no device memory is", bytes);
  const Open open(*this);
  std::memset(data, value, bytes);
}

void ProtectedMemory::touch(std::byte* data, size_t bytes) {
  const Open open(*this);
  host_memory().touch(data, bytes);
}

void ProtectedMemory::discard(std::byte* data, size_t bytes) noexcept {
  madvise(data, whole_pages(bytes), MADV_DONTNEED);
}

std::unique_ptr<DeviceStream> HostMirrorDevice::make_stream() {
  return std::make_unique<MirrorStream>(*this);
}

bool tests_run_on_a_mirror() {
  const char* device = std::getenv("REPRISE_TEST_DEVICE");
  return device != nullptr && std::string_view(device) == "mirror";
}

TestDevice::TestDevice(ThreadTeam& team, Isa isa) {
  if (tests_run_on_a_mirror())
    device_ = std::make_unique<HostMirrorDevice>(team, isa);
  else
    device_ = std::make_unique<CpuDevice>(team, isa);
}

}  // namespace reprise
