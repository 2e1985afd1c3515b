// A device for tests whose memory the host may not touch: its pages are accessible only while its kernels
// run, and to uploads, downloads and fills. It runs the CPU's kernels, so whatever it computes must be the
// CPU's bits; any access of the host outside the door is a SIGSEGV at that line. This is the rehearsal for
// devices with memory of their own.
#pragma once

#include <memory>
#include <mutex>

#include "capture/executable.h"
#include "device/cpu/cpu_device.h"

namespace reprise {

// One range of addresses, handed out from its beginning and not used again, so that one call protects all of
// it.
class ProtectedMemory final : public MemorySpace {
 public:
  ProtectedMemory();
  ~ProtectedMemory() override;
  ProtectedMemory(const ProtectedMemory&) = delete;
  ProtectedMemory& operator=(const ProtectedMemory&) = delete;

  bool host_visible() const override { return false; }
  std::byte* take(size_t bytes) override;
  void give_back(std::byte* data, size_t bytes) noexcept override;
  void upload(std::byte* to, const std::byte* from, size_t bytes) override;
  void download(std::byte* to, const std::byte* from, size_t bytes) override;
  void fill(std::byte* data, int value, size_t bytes) override;
  void touch(std::byte* data, size_t bytes) override;
  void discard(std::byte* data, size_t bytes) noexcept override;

  bool holds(const std::byte* data, size_t bytes) const;

  // Everything is accessible in this scope; scopes nest, on one thread.
  class Open {
   public:
    explicit Open(ProtectedMemory& memory) : memory_(memory) { memory_.open(+1); }
    ~Open() { memory_.open(-1); }
    Open(const Open&) = delete;
    Open& operator=(const Open&) = delete;

   private:
    ProtectedMemory& memory_;
  };

 private:
  void open(int change);

  mutable std::mutex mutex_;
  std::byte* base_;
  size_t used_ = 0;  // whole pages
  int open_ = 0;
};

class HostMirrorDevice final : public CpuDevice {
 public:
  using CpuDevice::CpuDevice;
  MemorySpace& memory() override { return memory_; }
  ProtectedMemory& protected_memory() { return memory_; }
  std::unique_ptr<DeviceStream> make_stream() override;

 private:
  ProtectedMemory memory_;
};

// The CPU, or a HostMirrorDevice where the environment has REPRISE_TEST_DEVICE=mirror: so whole test programs
// run on either.
class TestDevice {
 public:
  TestDevice(ThreadTeam& team, Isa isa);
  operator Device&() const { return *device_; }  // NOLINT: it stands for one
  MemorySpace& memory() const { return device_->memory(); }

 private:
  std::unique_ptr<CpuDevice> device_;
};
bool tests_run_on_a_mirror();

}  // namespace reprise
