#include "core/launch.h"

#include <algorithm>

#include "core/error.h"

namespace reprise {
namespace {

thread_local std::string_view current_layer;

// Items that cover `bytes`, rounded up. Affine in T, S and R only if a row is: an upper bound is enough, because
// the kernels clip to the true number of bytes.
Dim copy_items(const Dim& bytes) {
  const auto up = [](int64_t value) { return (value + kCopyItem - 1) / kCopyItem; };
  return {up(bytes.constant), up(bytes.tokens), up(bytes.seqs), up(bytes.rows)};
}

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

Stream::Stream(Device& device) : device_(device), on_device_(device.make_stream()) {}
Stream::~Stream() = default;

void Stream::launch(const Launch& launch) {
  if (sink_ != nullptr)
    sink_->append(launch);
  else
    on_device_->run(launch, sizes_, profiler_);
}

void Stream::copy(const Tensor& from, const Tensor& to) {
  launch(on_device_->copy_kernel(), {.items = copy_items(from.extent()), .grain = 16},
         {reads(from), writes(to)}, CopyScalars{from.extent()});
}

void Stream::fill_bytes(const Tensor& tensor, uint8_t value) {
  launch(on_device_->fill_kernel(), {.items = copy_items(tensor.extent()), .grain = 16}, {writes(tensor)},
         FillScalars{.bytes = tensor.extent(), .value = value});
}

const std::byte* Stream::read_back(const Tensor& tensor) {
  if (sink_ != nullptr)
    refuse_while_recording(CaptureRule::host_read,
                           fmt::format("the host reads a {} tensor of shape {} after kernel '{}'",
                                       name_of(tensor.dtype), to_string(tensor.shape), sink_->last_kernel()));
  if (device_.memory().host_visible()) return tensor.data();
  const auto bytes = static_cast<size_t>(tensor.extent().eval(sizes_));
  read_.resize(std::max(read_.size(), bytes));
  on_device_->synchronize();
  device_.memory().download(read_.data(), tensor.data(), bytes);
  return read_.data();
}

void Stream::synchronize() const {
  if (sink_ != nullptr)
    refuse_while_recording(CaptureRule::synchronise,
                           fmt::format("the host waits for kernel '{}'", sink_->last_kernel()));
  on_device_->synchronize();
}

void Stream::drop_status() {
  synchronize();
  on_device_->take_status();
}

void Stream::check_status() {
  synchronize();
  switch (static_cast<KernelStatus>(on_device_->take_status())) {
    case KernelStatus::ok:
      return;
    case KernelStatus::index_out_of_range:
      throw Error(
          "[kernel] an id or a row number lies outside of what it counts in; the step's inputs are wrong");
  }
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
