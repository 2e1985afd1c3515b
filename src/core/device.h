// A device that runs kernels: its memory, its streams, and what the host must know of it. The CPU's is
// device/cpu/cpu_device.h. Code above the ops knows a device by this header alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "core/memory.h"
#include "core/shape.h"

namespace reprise {

struct Kernel;
struct Launch;
class Profiler;
class WeightPacker;
namespace capture {
class Executable;
class Recording;
}  // namespace capture

// Whose kernels a device runs: the key of the table of launches (ops/launch_table.h).
enum class DeviceKind : uint8_t { cpu, cuda };
inline constexpr size_t kDeviceKinds = 2;

constexpr std::string_view name_of(DeviceKind kind) {
  return kind == DeviceKind::cpu ? "cpu" : "cuda";
}

// The device's side of one stream (core/launch.h). One thread.
class DeviceStream {
 public:
  virtual ~DeviceStream() = default;

  // Starts the launch for a step of these sizes, after all earlier ones. Its time goes to `profiler` where
  // that is not null. What `launch` points to may be gone when this returns.
  virtual void run(const Launch& launch, const StepSizes& sizes, Profiler* profiler) = 0;
  virtual const Kernel& copy_kernel() const = 0;
  virtual const Kernel& fill_kernel() const = 0;
  // Returns when every launch is complete.
  virtual void synchronize() = 0;
  // What kernels raised since the last call: 0, or a KernelStatus (core/launch.h). All launches are complete.
  virtual uint32_t take_status() = 0;

  // What replays `recording` on this stream, for steps of sizes up to `largest`. Throws Error where it can't
  // be replayed.
  virtual std::unique_ptr<capture::Executable> instantiate(capture::Recording recording,
                                                           StepSizes largest) = 0;

  virtual size_t workspace_bytes() const = 0;  // of the device's memory, held for kernels that run
  virtual void touch_workspace() = 0;          // makes it resident
};

// Thread contract: any thread, but streams and memory have contracts of their own.
class Device {
 public:
  virtual ~Device() = default;

  virtual DeviceKind kind() const = 0;
  // "avx2", "sm_90": what the bits of results may depend on. Static storage.
  virtual std::string_view level() const = 0;
  // One recording can be replayed for any number of tokens and sequences up to the largest.
  virtual bool replays_any_size() const = 0;
  // The most replays of a size until the device has found how to replay it fastest.
  virtual int settling_replays() const = 0;

  // Where the tensors of steps, weights and the KV cache lie. Outlives what it gave.
  virtual MemorySpace& memory() = 0;
  // Bytes of it that this process could still take.
  virtual size_t available_bytes() const = 0;

  // How its kernels read matmul weights (core/weight_packer.h). Lives as long as the device.
  virtual const WeightPacker& weight_packer() const = 0;

  // The device outlives its streams. Throws Error when memory runs out.
  virtual std::unique_ptr<DeviceStream> make_stream() = 0;
};

}  // namespace reprise
