#include "core/launch.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "core/profiler.h"
#include "core/thread_team.h"

namespace reprise {
namespace {

thread_local std::string_view current_layer;

// Copies move whole items of this many bytes, so that a large one is shared by the team.
constexpr int64_t kCopyItem = 4096;

struct CopyScalars {
  Dim bytes;
};
struct FillScalars {
  Dim bytes;
  uint8_t value;
  Unused<7> unused{};
};

// The range of bytes of items [begin, end), cut to the bytes there are (the last items may be beyond them).
struct ByteRange {
  int64_t begin;
  int64_t end;
  ByteRange(int64_t first_item, int64_t last_item, int64_t bytes)
      : begin(std::min(first_item * kCopyItem, bytes)), end(std::min(last_item * kCopyItem, bytes)) {}
  size_t size() const { return static_cast<size_t>(end - begin); }
};

void run_copy(const KernelContext& context, int64_t begin, int64_t end) {
  const ByteRange range(begin, end, context.get_scalars<CopyScalars>().bytes.eval(context.sizes));
  std::memcpy(context.buffers[1] + range.begin, context.buffers[0] + range.begin, range.size());
}

void run_fill(const KernelContext& context, int64_t begin, int64_t end) {
  const auto& scalars = context.get_scalars<FillScalars>();
  const ByteRange range(begin, end, scalars.bytes.eval(context.sizes));
  std::memset(context.buffers[0] + range.begin, scalars.value, range.size());
}

// Items that cover `bytes`, rounded up. Affine in T and S only if a row is: an upper bound is enough, because
// the kernels clip to the true number of bytes.
Dim copy_items(const Dim& bytes) {
  const auto up = [](int64_t value) { return (value + kCopyItem - 1) / kCopyItem; };
  return {up(bytes.constant), up(bytes.tokens), up(bytes.seqs)};
}

const Kernel kCopyKernel{"copy", run_copy};
const Kernel kFillKernel{"fill", run_fill};

}  // namespace

LayerScope::LayerScope(std::string_view name) : previous_(current_layer) {
  current_layer = name;
}
LayerScope::~LayerScope() {
  current_layer = previous_;
}
std::string_view LayerScope::current() {
  return current_layer;
}

Stream::Stream(ThreadTeam& team, Isa isa)
    : team_(team), isa_(isa), scratch_(kScratchBytes * static_cast<size_t>(team.size())) {}
Stream::~Stream() = default;

std::byte* Stream::scratch(int worker) const {
  return scratch_.data() + kScratchBytes * static_cast<size_t>(worker);
}

void Stream::launch(const Launch& launch) {
  if (sink_ != nullptr) {
    sink_->append(launch);
    return;
  }
  std::byte* pointers[Launch::kMaxBuffers];
  REPRISE_CHECK(launch.buffers.size() <= Launch::kMaxBuffers, "{} takes {} buffers", launch.kernel.name,
                launch.buffers.size());
  for (size_t i = 0; i < launch.buffers.size(); ++i) {
    const BufferArg& argument = launch.buffers[i];
    pointers[i] = argument.buffer == nullptr ? nullptr : argument.buffer->data + argument.offset;
  }
  if (profiler_ == nullptr) {
    run_now(launch, pointers);
    return;
  }
  const auto begin = Profiler::Clock::now();
  run_now(launch, pointers);
  profiler_->add({launch.kernel.name, launch.layer.empty() ? "model" : launch.layer, begin,
                  Profiler::Clock::now(), sizes_});
}

void Stream::run_now(const Launch& launch, std::byte* const* pointers) {
  team_.parallel_for(launch.dims.items.eval(sizes_), launch.dims.grain,
                     [&](int64_t begin, int64_t end, int worker) {
                       const KernelContext context{.sizes = sizes_,
                                                   .buffers = pointers,
                                                   .scalars = launch.scalars,
                                                   .scratch = scratch(worker),
                                                   .worker = worker};
                       launch.kernel.run(context, begin, end);
                     });
}

void Stream::copy(const Tensor& from, const Tensor& to) {
  launch(kCopyKernel, {.items = copy_items(from.extent()), .grain = 16}, {reads(from), writes(to)},
         CopyScalars{from.extent()});
}

void Stream::fill_bytes(const Tensor& tensor, uint8_t value) {
  launch(kFillKernel, {.items = copy_items(tensor.extent()), .grain = 16}, {writes(tensor)},
         FillScalars{.bytes = tensor.extent(), .value = value});
}

const std::byte* Stream::read_back(const Tensor& tensor) const {
  if (sink_ != nullptr)
    refuse_while_recording(CaptureRule::host_read,
                           fmt::format("the host reads a {} tensor of shape {} after kernel '{}'",
                                       name_of(tensor.dtype), to_string(tensor.shape), sink_->last_kernel()));
  return tensor.data();
}

void Stream::synchronize() const {
  if (sink_ != nullptr)
    refuse_while_recording(CaptureRule::synchronise,
                           fmt::format("the host waits for kernel '{}'", sink_->last_kernel()));
}

void Stream::begin_recording(LaunchSink& sink) {
  REPRISE_CHECK(sink_ == nullptr, "a recording is already under way");
  sink_ = &sink;
  mark_.emplace();
}
void Stream::end_recording() {
  sink_ = nullptr;
  mark_.reset();
}

}  // namespace reprise
