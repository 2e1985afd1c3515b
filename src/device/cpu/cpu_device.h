// The CPU as a device: kernels run on a thread team, at one ISA level, in the host's own memory.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <string_view>

#include "core/device.h"
#include "core/isa.h"
#include "core/launch.h"
#include "core/memory.h"
#include "device/cpu/weight_packer.h"

namespace reprise {

class ThreadTeam;

class CpuDevice : public Device {
 public:
  // `team` outlives the device and what it makes. One device of a team runs at a time.
  CpuDevice(ThreadTeam& team, Isa isa) : team_(team), isa_(isa) {}

  DeviceKind kind() const final { return DeviceKind::cpu; }
  std::string_view level() const final { return name_of(isa_); }
  // Tokens of a step, unless somebody says otherwise. Longer steps gain a few per cent of prefill
  // (docs/speed-appendix.md) and let every stream wait for them.
  static constexpr int64_t kBatchedTokens = 512;
  static constexpr bool kReplaysAnySize = true;
  bool replays_any_size() const final { return kReplaysAnySize; }
  int settling_replays() const final;
  MemorySpace& memory() override { return host_memory(); }
  size_t available_bytes() const override;  // core/process_limits.h
  const WeightPacker& weight_packer() const final { return packer_; }
  std::unique_ptr<DeviceStream> make_stream() override;

  ThreadTeam& team() const { return team_; }
  Isa isa() const { return isa_; }

 private:
  ThreadTeam& team_;
  Isa isa_;
  CpuWeightPacker packer_;
};

// A launch is complete when run() returns.
class CpuStream : public DeviceStream {
 public:
  explicit CpuStream(CpuDevice& device);

  void run(const Launch& launch, const StepSizes& sizes, Profiler* profiler) override;
  const Kernel& copy_kernel() const override;
  const Kernel& fill_kernel() const override;
  void synchronize() override {}
  uint32_t take_status() override { return status_.exchange(0, std::memory_order_relaxed); }
  std::unique_ptr<capture::Executable> instantiate(capture::Recording recording, StepSizes largest) override;
  size_t workspace_bytes() const override { return scratch_.bytes(); }  // of all workers
  void touch_workspace() override { scratch_.touch(); }

  ThreadTeam& team() const { return device_.team(); }
  // For a kernel that `worker` runs; buffers and scalars are still to be set.
  KernelContext context_for(const StepSizes& sizes, int worker);

 private:
  void run_now(const Launch& launch, const StepSizes& sizes, std::byte* const* pointers);

  CpuDevice& device_;
  MemoryRange scratch_;
  std::atomic<uint32_t> status_{0};
};

// The CPU device behind a stream, for launches, which are for one kind of device.
inline const CpuDevice& cpu_of(const Stream& stream) {
  return static_cast<const CpuDevice&>(stream.device());
}
inline CpuStream& cpu_stream(const Stream& stream) {
  return static_cast<CpuStream&>(stream.on_device());
}

}  // namespace reprise
