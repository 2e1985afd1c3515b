// The kernels behind Stream::copy and Stream::fill_bytes.
#include <algorithm>
#include <cstring>

#include "device/cpu/cpu_device.h"

namespace reprise {
namespace {

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

}  // namespace

const Kernel& CpuStream::copy_kernel() const {
  static const Kernel kernel{"copy", run_copy};
  return kernel;
}
const Kernel& CpuStream::fill_kernel() const {
  static const Kernel kernel{"fill", run_fill};
  return kernel;
}

}  // namespace reprise
