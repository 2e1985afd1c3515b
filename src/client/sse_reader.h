// Server-sent events (a reply of type text/event-stream) out of bytes that arrive in any pieces.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace reprise::client {

// One thread at a time.
class SseReader {
 public:
  // Of one event. More is an Error.
  static constexpr size_t kMostEventBytes = size_t{16} << 20;
  // `event`: its name, empty where it has none; `data`: its lines, joined by line feeds. Valid during the call.
  using Take = std::function<void(std::string_view event, std::string_view data)>;

  explicit SseReader(Take take) : take_(std::move(take)) {}
  // Calls `take` for each event that is complete; comments and other fields are left out. Throws Error.
  void feed(std::string_view piece);

 private:
  void take_line(std::string_view line);

  Take take_;
  std::string line_;  // the beginning of one that has not ended
  std::string event_, data_;
  bool has_data_ = false;
  bool after_return_ = false;  // a line feed that comes next belongs to the line before
};

}  // namespace reprise::client
