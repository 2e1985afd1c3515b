// The rules of a capture, and the error that names who broke one. A stream that records runs nothing, so what
// the host would read, wait for or allocate in between would be frozen into every replay.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/error.h"

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

// Names op, layer, rule and mend in its message. `mend` may be left out: each rule has a usual one.
class CaptureError : public Error {
 public:
  CaptureError(CaptureRule rule, std::string_view op, std::string_view layer, std::string_view found,
               std::string_view mend = {});
  CaptureRule rule() const { return rule_; }
  const std::string& op() const { return op_; }
  const std::string& layer() const { return layer_; }

 private:
  CaptureRule rule_;
  std::string op_, layer_;
};

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
