#include "client/sse_reader.h"

#include "core/error.h"

namespace reprise::client {

void SseReader::feed(std::string_view piece) {
  while (!piece.empty()) {
    if (after_return_ && piece.front() == '\n') piece.remove_prefix(1);
    after_return_ = false;
    const size_t end = piece.find_first_of("\r\n");
    const std::string_view text = piece.substr(0, end);
    if (line_.size() + data_.size() + text.size() > kMostEventBytes)
      throw Error("an event of the stream has more than {} bytes", kMostEventBytes);
    if (end == std::string_view::npos) {
      line_.append(text);
      return;
    }
    after_return_ = piece[end] == '\r';
    if (line_.empty()) {
      take_line(text);
    } else {
      line_.append(text);
      const std::string line = std::move(line_);
      line_.clear();
      take_line(line);
    }
    piece.remove_prefix(end + 1);
  }
}

void SseReader::take_line(std::string_view line) {
  if (line.empty()) {
    if (has_data_) take_(event_, data_);
    event_.clear();
    data_.clear();
    has_data_ = false;
    return;
  }
  const size_t colon = line.find(':');
  const std::string_view name = line.substr(0, colon);
  std::string_view value = colon == std::string_view::npos ? std::string_view() : line.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (name == "data") {
    if (has_data_) data_.push_back('\n');
    data_.append(value);
    has_data_ = true;
  } else if (name == "event") {
    event_ = value;
  }
}

}  // namespace reprise::client
