// The rules that code must keep while a stream records a step (a capture); who breaks one gets a CaptureError
// (core/capture_error.h), which names op and layer. A stream that records runs nothing, so whatever the host
// reads, waits for or allocates meanwhile would have the same value in every replay.
#pragma once

#include <cstdint>
#include <string_view>

namespace reprise {

enum class CaptureRule : uint8_t {
  host_read,        // data-dependent control flow: the host looks at a device value
  synchronise,      // the host waits for the device, or copies to itself
  allocate,         // memory is allocated in the middle of a recording
  address_changed,  // an input lies elsewhere than it did at capture
  shape_changed,    // T, S or a dtype is not that of the capture
  dynamic_launch,   // dims, kernel, addresses or scalars of a launch depend on data
  collective,       // the communicator can't be captured
};
std::string_view name_of(CaptureRule rule);  // "host read"

// Whether a stream records on this thread. Allocators and waits ask.
bool recording_on_this_thread();
// Throws CaptureError where it does, with the op and layer that run, or the op that ran last; `found` says
// what was tried.
void refuse_while_recording(CaptureRule rule, std::string_view found);

// Marks this thread as recording; the stream holds it from begin_recording to end_recording.
class RecordingMark {
 public:
  RecordingMark();
  ~RecordingMark();
  RecordingMark(const RecordingMark&) = delete;
  RecordingMark& operator=(const RecordingMark&) = delete;
};

// Names the op whose launches follow on this thread; the dispatchers set it. The name must outlive the scope.
class OpScope {
 public:
  explicit OpScope(std::string_view name);
  ~OpScope();
  OpScope(const OpScope&) = delete;
  OpScope& operator=(const OpScope&) = delete;
  static std::string_view current();

 private:
  std::string_view previous_;
};

}  // namespace reprise
