// What replays a recording. Each device has its own (DeviceStream::instantiate of core/device.h); whoever
// runs a captured step knows them by this interface alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "capture/recording.h"

namespace reprise {
class Profiler;
}

namespace reprise::capture {

// Thread contract: the stream's thread; one replay of a stream at a time.
class Executable {
 public:
  virtual ~Executable() = default;

  // Starts every node for a step of these sizes; Stream::synchronize() waits for them. Throws InternalError
  // for sizes above those it was made for. With a profiler, each node that had work items becomes an event of
  // it. Allocates nothing in the steady state, but for the notes of the first run with a profiler.
  virtual void run(StepSizes sizes, Profiler* profiler = nullptr) = 0;

  // One node and its end, for checks that look between nodes.
  virtual void run_node(size_t node, StepSizes sizes) = 0;

  virtual const Recording& recording() const = 0;
  // Nodes that are done before this one starts, ascending; those implied by another are left out.
  virtual std::span<const int32_t> waits_of(size_t node) const = 0;
  virtual size_t bytes() const = 0;  // the same for the same launches on the same device
};

}  // namespace reprise::capture
