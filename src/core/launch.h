// Every piece of device work (kernel, copy, fill) goes through `Stream::launch`. Kernels get raw pointers,
// the step's sizes and a plain struct of scalars; the stream runs a launch at once or, while it records,
// appends it to a recording. A launch declares what it reads and writes, from which a replay derives what
// must wait for what.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>

#include "core/arena.h"
#include "core/capture_rules.h"
#include "core/isa.h"
#include "core/no_padding.h"
#include "core/tensor.h"

namespace reprise {

class ThreadTeam;
class Profiler;

// What a kernel function gets. One call handles work items [begin, end); calls for different ranges may run
// at the same time on different workers, and no result may depend on how the items were cut.
struct KernelContext {
  StepSizes sizes;
  std::byte* const* buffers;  // in the order of the launch's buffers; null where an optional one is absent
  const void* scalars;
  std::byte* scratch;  // Stream::kScratchBytes of this worker alone, 64-byte aligned, contents undefined
  int worker;          // 0 .. team size - 1

  template <typename T>
  T* buffer(int index) const {
    return reinterpret_cast<T*>(buffers[index]);
  }
  template <typename T>
  const T& get_scalars() const {
    return *static_cast<const T*>(scalars);
  }
};

using KernelFunction = void (*)(const KernelContext& context, int64_t begin, int64_t end);

struct Kernel {
  std::string_view name;  // static storage; "matmul_bf16_avx2"
  KernelFunction run = nullptr;
};

// Work items of a launch, and how few of them are worth a claim by a worker.
struct LaunchDims {
  Dim items;
  int64_t grain = 1;
};

enum class Access : uint8_t { read, write, read_write };

struct BufferArg {
  Buffer* buffer = nullptr;  // null: an optional argument that is absent
  int64_t offset = 0;        // bytes
  Dim extent;                // bytes
  Access access = Access::read;
};

inline BufferArg reads(const Tensor& t) {
  return t ? BufferArg{t.buffer.get(), t.offset, t.extent(), Access::read} : BufferArg{};
}
inline BufferArg writes(const Tensor& t) {
  return {t.buffer.get(), t.offset, t.extent(), Access::write};
}
inline BufferArg updates(const Tensor& t) {
  return {t.buffer.get(), t.offset, t.extent(), Access::read_write};
}

// Names the part of the model that launches belong to: "layers.3.self_attn". Scopes nest on the thread that
// runs the model; a launch carries the innermost one. The name must outlive the recordings that mention it.
class LayerScope {
 public:
  explicit LayerScope(std::string_view name);
  ~LayerScope();
  LayerScope(const LayerScope&) = delete;
  LayerScope& operator=(const LayerScope&) = delete;
  static std::string_view current();

 private:
  std::string_view previous_;
};

struct Launch {
  static constexpr size_t kMaxBuffers = 16;
  static constexpr size_t kMaxScalarBytes = 192;
  static constexpr size_t kScalarAlignment = 16;

  Kernel kernel;
  std::string_view op;     // name of the op that launches, "" outside of one
  std::string_view layer;  // path in the model, "" outside of one
  LaunchDims dims;
  std::span<const BufferArg> buffers;
  const void* scalars = nullptr;
  size_t scalar_bytes = 0;
};

// Takes the launches of a stream that records. Recording executes nothing.
class LaunchSink {
 public:
  virtual void append(const Launch& launch) = 0;
  // The last launch seen, for the message of a host read that is refused.
  virtual std::string_view last_kernel() const = 0;

 protected:
  ~LaunchSink() = default;
};

// Launches of one device, in order. On the CPU a launch runs on the thread team and is complete when launch()
// returns. Thread contract: one thread at a time.
class Stream {
 public:
  static constexpr size_t kScratchBytes = size_t{4} << 20;  // for each worker

  Stream(ThreadTeam& team, Isa isa);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // The step's T and S, read by every kernel that runs from now on.
  void set_sizes(StepSizes sizes) { sizes_ = sizes; }
  StepSizes sizes() const { return sizes_; }

  // Runs the kernel over the team, or records it. `scalars` are copied into a recording as bytes and
  // recordings are compared byte by byte, so they may have no padding: fill it by an `Unused<N>` field
  // (no_padding.h).
  template <typename Scalars>
  void launch(const Kernel& kernel, LaunchDims dims, std::span<const BufferArg> buffers,
              const Scalars& scalars) {
    static_assert(std::is_trivially_copyable_v<Scalars> && sizeof(Scalars) <= Launch::kMaxScalarBytes &&
                  alignof(Scalars) <= Launch::kScalarAlignment);
    static_assert(std::is_empty_v<Scalars> || kHasNoPadding<Scalars>,
                  "scalars with padding: name the bytes by a field `Unused<N> unused{}` (core/no_padding.h)");
    static constexpr std::byte kNothing{};  // the one byte of an empty struct is padding
    launch(Launch{.kernel = kernel,
                  .op = OpScope::current(),
                  .layer = LayerScope::current(),
                  .dims = dims,
                  .buffers = buffers,
                  .scalars = std::is_empty_v<Scalars> ? static_cast<const void*>(&kNothing) : &scalars,
                  .scalar_bytes = sizeof(Scalars)});
  }
  template <typename Scalars>
  void launch(const Kernel& kernel, LaunchDims dims, std::initializer_list<BufferArg> buffers,
              const Scalars& scalars) {
    launch(kernel, dims, std::span(buffers.begin(), buffers.size()), scalars);
  }

  // Copies and fills are launches as well.
  void copy(const Tensor& from, const Tensor& to);
  void fill_bytes(const Tensor& tensor, uint8_t value);

  // Result of earlier launches for the host. Throws CaptureError while recording: a value that the host reads
  // would be frozen.
  const std::byte* read_back(const Tensor& tensor) const;

  // Returns when all earlier launches are complete; on the CPU they always are. Throws CaptureError while
  // recording.
  void synchronize() const;

  // Between begin and end, on one thread, every launch goes to the sink and nothing runs.
  void begin_recording(LaunchSink& sink);
  void end_recording();
  bool recording() const { return sink_ != nullptr; }

  // Times every launch that runs while set; null switches off.
  void set_profiler(Profiler* profiler) { profiler_ = profiler; }

  ThreadTeam& team() const { return team_; }
  Isa isa() const { return isa_; }
  std::byte* scratch(int worker) const;
  size_t scratch_bytes() const { return scratch_.bytes(); }  // of all workers

 private:
  void launch(const Launch& launch);
  void run_now(const Launch& launch, std::byte* const* pointers);

  ThreadTeam& team_;
  Isa isa_;
  StepSizes sizes_;
  LaunchSink* sink_ = nullptr;
  std::optional<RecordingMark> mark_;
  Profiler* profiler_ = nullptr;
  MappedMemory scratch_;
};

}  // namespace reprise
