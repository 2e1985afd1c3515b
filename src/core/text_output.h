// Standard output, or a file that is replaced whole: writes are collected, and every failure to write (a full
// disk, a closed pipe, a folder that does not exist) is an error. The C and C++ streams keep such failures
// until somebody asks; here nobody can forget to.
#pragma once

#include <fmt/core.h>

#include <string>
#include <string_view>
#include <utility>

#include "core/error.h"

namespace reprise {

// The reader of a pipe is gone (`reprise ... | head -1`). The command ends; there is nobody to tell.
class ClosedPipe : public Error {
 public:
  using Error::Error;
};

// One thread at a time. Bytes of value 0 are written like any others.
class TextOutput {
 public:
  // The process's standard output. SIGPIPE must be ignored, or a closed pipe ends the process.
  static TextOutput& standard();

  // Creates `path`.part, which close() renames to `path`; a path that is no regular file (/dev/null, a named
  // pipe) is written directly. `flag` names the file in errors: "-o", "--trace". Throws Error.
  TextOutput(std::string path, std::string flag);
  // Without close(), the part is deleted.
  ~TextOutput();
  TextOutput(const TextOutput&) = delete;
  TextOutput& operator=(const TextOutput&) = delete;

  // Each throws Error "cannot write ...: No space left on device" at the latest when flushed or closed, and
  // ClosedPipe where nobody reads. After a failure, what was collected is dropped.
  void write(std::string_view text);
  template <typename... Args>
  void print(fmt::format_string<Args...> format, Args&&... args) {
    write(fmt::format(format, std::forward<Args>(args)...));
  }
  void flush();
  // Flushes and, for a file, puts it in its place. Call it once, after the last write.
  void close();

 private:
  explicit TextOutput(int fd) : fd_(fd) {}
  [[noreturn]] void fail(int error);

  int fd_ = -1;
  std::string path_;  // empty: standard output
  std::string flag_;
  std::string part_;  // what is written until close(); empty: the path itself
  std::string buffer_;
};

}  // namespace reprise
