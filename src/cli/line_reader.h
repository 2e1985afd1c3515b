// Lines of a file or of standard input, one at a time: a file larger than memory can be read, and so can one
// that somebody is still writing.
#pragma once

#include <cstddef>
#include <string>

namespace reprise::cli {

class LineReader {
 public:
  // Bytes of a line. The reader holds at most about twice as many.
  static constexpr size_t kMaxLine = size_t{64} << 20;

  // `path` "-" is standard input. `flag` names the file in errors. Throws Error where it can't be opened.
  LineReader(const std::string& path, std::string flag, size_t max_line = kMaxLine);
  ~LineReader();
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  enum class Got {
    line,
    too_long,  // a line of more than `max_line` bytes, which was skipped
    not_yet,   // only where `may_wait` is false
    end        // of the file; or a signal came while waiting (InterruptGuard)
  };
  // Reads the next line into `line`, without its line feed or carriage return. Text after the last line feed
  // is a line. Throws Error where the file can't be read.
  Got next(std::string& line, bool may_wait = true);

 private:
  bool take_line(std::string& line, Got& got);
  bool fill();  // false: a signal came

  int fd_ = -1;
  std::string path_;
  std::string flag_;
  size_t max_line_;
  std::string buffer_;
  size_t begin_ = 0;     // of what was not given out yet
  size_t searched_ = 0;  // no line feed before it
  bool skipping_ = false;
  bool end_ = false;
};

}  // namespace reprise::cli
