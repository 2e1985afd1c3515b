// Every piece of device work (kernel, copy, fill) goes through `Stream::launch`. Kernels get raw pointers,
// the step's sizes and a plain struct of scalars; the stream runs a launch at once or, while it records,
// appends it to a recording, which is replayed later (capture/). A launch declares what it reads and writes,
// from which a replay derives what must wait for what. A stream is the door to a device (core/device.h),
// which does the work. T, S and R: tokens, sequences and rows read of the step; sizes that depend on them are
// Dims (core/shape.h).
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include "core/arena.h"
#include "core/capture_rules.h"
#include "core/device.h"
#include "core/no_padding.h"
#include "core/tensor.h"

namespace reprise {

// What a kernel can report, since it may not throw. One of those raised in a step is kept.
enum class KernelStatus : uint32_t {
  ok,
  index_out_of_range,  // an id or a row number outside of what it counts in
};

// What a kernel function of the CPU gets. One call handles work items [begin, end); calls for different
// ranges may run at the same time on different workers, and no result may depend on how the items were cut.
struct KernelContext {
  StepSizes sizes;
  std::byte* const* buffers;  // in the order of the launch's buffers; null where an optional one is absent
  const void* scalars;
  std::byte* scratch;  // kScratchBytes of this worker alone, 64-byte aligned, contents undefined
  int worker;          // 0 .. team size - 1
  std::atomic<uint32_t>* status = nullptr;  // null: nobody asks

  static constexpr size_t kScratchBytes = size_t{4} << 20;

  // The step fails with this; the kernel goes on and writes what it must write anyhow.
  void raise(KernelStatus what) const {
    if (status != nullptr) status->store(static_cast<uint32_t>(what), std::memory_order_relaxed);
  }

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
  std::string_view name;                  // static storage; "matmul_bf16_avx2"
  KernelFunction run = nullptr;           // on the CPU
  const void* module_function = nullptr;  // on a device that loads its kernels: its own name for one
};

// How a device that runs blocks of threads cuts a launch: ceil(x / x_per_block) * ceil(y / y_per_block)
// blocks.
struct Grid {
  Dim x = 0, y = 1;
  int64_t x_per_block = 1, y_per_block = 1;  // 1 or more
  int32_t threads = 0;                       // of a block
  int32_t shared_bytes = 0;
  uint32_t attributes = 0;  // bits that the device gives a meaning
  bool operator==(const Grid&) const = default;
};

// `items` work items for each of ceil(rows / rows_per_block) blocks of rows; those of the first block come
// first. Both factors may depend on the step, which one affine number of items could not say.
struct LaunchDims {
  Dim items;                   // of a block; 0 runs nothing
  int64_t grain = 1;           // a worker takes at least so many items at once; 1 or more
  Dim rows = 1;                // 0 runs nothing
  int64_t rows_per_block = 1;  // 1 or more
  Grid grid = {};              // where the device has workers, not blocks: unused

  int64_t work_items(const StepSizes& sizes) const {
    return items.eval(sizes) * ((rows.eval(sizes) + rows_per_block - 1) / rows_per_block);
  }
};

enum class Access : uint8_t { read, write, read_write };

struct BufferArg {
  Buffer* buffer = nullptr;  // null: an optional argument that is absent
  int64_t offset = 0;        // bytes
  Dim extent;                // bytes
  Access access = Access::read;
};

// An absent tensor may be read (an optional argument); it can't be written.
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
  std::string_view op;     // name of the op (OpScope of core/capture_rules.h); "" outside of one
  std::string_view layer;  // LayerScope; "" outside of one
  LaunchDims dims;
  std::span<const BufferArg> buffers;
  const void* scalars = nullptr;
  size_t scalar_bytes = 0;
};

// Scalars of the kernels behind Stream::copy and fill_bytes (DeviceStream::copy_kernel, fill_kernel).
// Buffers: 0 from, 1 to; 0 what is filled. An item is kCopyItem bytes, so that a large copy is shared by the
// workers; the last items may lie beyond the bytes there are.
inline constexpr int64_t kCopyItem = 4096;
struct CopyScalars {
  Dim bytes;
};
struct FillScalars {
  Dim bytes;
  uint8_t value;
  Unused<7> unused{};
};

// Receives the launches of a stream that records. Recording executes nothing.
class LaunchSink {
 public:
  // `launch` and all it points to are valid during the call. What append() throws leaves Stream::launch().
  virtual void append(const Launch& launch) = 0;
  // Name of the last launch seen; the error about a host read names it.
  virtual std::string_view last_kernel() const = 0;

 protected:
  ~LaunchSink() = default;
};

// Launches of one device, in order: the door through which all of them go. One thread at a time. Device, sink
// and profiler must outlive their use here.
class Stream {
 public:
  // Takes the device's workspace; throws Error when memory runs out.
  explicit Stream(Device& device);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // The step's T, S and R, for every kernel that runs from now on. A recording keeps none: a replay gets its
  // own.
  void set_sizes(StepSizes sizes) { sizes_ = sizes; }
  StepSizes sizes() const { return sizes_; }

  // Runs the kernel, or records it. `scalars` are copied into a recording as bytes and
  // recordings are compared byte by byte, so they must not have padding: name such bytes by an `Unused<N>`
  // field (no_padding.h). At most kMaxBuffers buffers, whose extents lie within their memory: not checked
  // here (the op checks its arguments). Kernels may not throw.
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

  // Launches as well. `from` and `to` have the same bytes and don't overlap: not checked.
  void copy(const Tensor& from, const Tensor& to);
  void fill_bytes(const Tensor& tensor, uint8_t value);

  // Result of earlier launches for the host, as many bytes as the stream's sizes say; valid until the next
  // launch or read_back(). Throws CaptureError while recording: the recording would keep the value seen now,
  // and every replay would go on with it.
  const std::byte* read_back(const Tensor& tensor);

  // Returns when all earlier launches are complete. Throws CaptureError while recording.
  void synchronize() const;
  // Waits as synchronize() does, and throws Error where a kernel raised a status since the last call.
  void check_status();
  // Waits, and forgets what was raised so far: nobody shall answer for a step that failed before it was
  // asked.
  void drop_status();

  // Between begin and end, on one thread, every launch goes to the sink and nothing runs. A second begin
  // throws InternalError; end_recording() without a begin does nothing. After an exception the caller ends
  // the recording.
  void begin_recording(LaunchSink& sink);
  void end_recording();
  bool recording() const { return sink_ != nullptr; }

  // Times every launch that runs while set; null switches off.
  void set_profiler(Profiler* profiler) { profiler_ = profiler; }

  Device& device() const { return device_; }
  DeviceStream& on_device() const { return *on_device_; }

 private:
  void launch(const Launch& launch);

  Device& device_;
  std::unique_ptr<DeviceStream> on_device_;
  StepSizes sizes_;
  LaunchSink* sink_ = nullptr;
  std::optional<RecordingMark> mark_;
  Profiler* profiler_ = nullptr;
  std::vector<std::byte> read_;  // where the host does not see the device's memory
};

}  // namespace reprise
