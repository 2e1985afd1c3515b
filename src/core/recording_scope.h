// Makes a stream record for the length of a scope, also where an exception leaves it; and a sink that drops
// the launches, for code that only wants to see what ops ask for.
#pragma once

#include "core/launch.h"

namespace reprise {

class RecordingScope {
 public:
  RecordingScope(Stream& stream, LaunchSink& sink) : stream_(stream) { stream_.begin_recording(sink); }
  ~RecordingScope() { stream_.end_recording(); }
  RecordingScope(const RecordingScope&) = delete;
  RecordingScope& operator=(const RecordingScope&) = delete;

 private:
  Stream& stream_;
};

// Takes launches that never run.
class DiscardingSink final : public LaunchSink {
 public:
  void append(const Launch& launch) override { last_ = launch.kernel.name; }
  std::string_view last_kernel() const override { return last_; }

 private:
  std::string_view last_;
};

}  // namespace reprise
