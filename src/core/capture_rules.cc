#include "core/capture_rules.h"

#include "core/capture_error.h"
#include "core/error.h"
#include "core/launch.h"

namespace reprise {
namespace {

thread_local int marks = 0;
thread_local std::string_view current_op;
thread_local std::string last_op;  // while recording; owned, for the schema may be gone

std::string_view fix_of(CaptureRule rule) {
  switch (rule) {
    case CaptureRule::host_read:
      return "compute it on the device or move the read out of the step";
    case CaptureRule::synchronise:
      return "wait after the step; replays need no wait between their launches";
    case CaptureRule::allocate:
      return "allocate before the step, or take the op's outputs and workspace from the step's arena";
    case CaptureRule::address_changed:
      return "fill the buffer that was captured, or capture again";
    case CaptureRule::shape_changed:
      return "capture for these sizes, or run this step without a replay";
    case CaptureRule::dynamic_launch:
      return "derive dims and scalars from T, S and R alone and let the kernel read the data";
    case CaptureRule::collective:
      return "use a communicator that can be captured, or split the step there";
  }
  return "";
}

}  // namespace

std::string_view name_of(CaptureRule rule) {
  switch (rule) {
    case CaptureRule::host_read:
      return "host read";
    case CaptureRule::synchronise:
      return "synchronisation";
    case CaptureRule::allocate:
      return "allocation";
    case CaptureRule::address_changed:
      return "address changed";
    case CaptureRule::shape_changed:
      return "shape changed";
    case CaptureRule::dynamic_launch:
      return "dynamic launch";
    case CaptureRule::collective:
      return "collective";
  }
  return "unknown";
}

CaptureError::CaptureError(CaptureRule rule, std::string_view op, std::string_view layer,
                           std::string_view found, std::string_view fix)
    : Error("[capture] {}: {}, at op '{}' of layer '{}'; {}", name_of(rule), found, op.empty() ? "none" : op,
            layer.empty() ? "none" : layer, fix.empty() ? fix_of(rule) : fix),
      rule_(rule),
      op_(op),
      layer_(layer) {}

bool recording_on_this_thread() {
  return marks > 0;
}

void refuse_while_recording(CaptureRule rule, std::string_view found) {
  if (!recording_on_this_thread()) return;
  throw CaptureError(rule, current_op.empty() ? last_op : current_op, LayerScope::current(), found);
}

RecordingMark::RecordingMark() {
  ++marks;
  last_op.clear();
}
RecordingMark::~RecordingMark() {
  --marks;
}

OpScope::OpScope(std::string_view name) : previous_(current_op) {
  current_op = name;
}
OpScope::~OpScope() {
  if (recording_on_this_thread()) last_op = current_op;
  current_op = previous_;
}
std::string_view OpScope::current() {
  return current_op;
}

}  // namespace reprise
