// The lines of a file that `reprise serve --request-log` wrote (server/request_log.h says what is in one).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace reprise::client {

struct LoggedOutput {
  std::vector<int32_t> token_ids = {};
  std::vector<float> logprobs = {}, prompt_logprobs = {};  // empty: none were asked for
  uint64_t text_bytes = 0, text_fnv1a = 0;
  std::string finish_reason = {};
};

struct LoggedPrompt {
  int64_t tokens = 0;
  std::vector<LoggedOutput> outputs = {};
};

struct LoggedLine {
  std::string id = {}, path = {}, body = {}, fingerprint = {}, end = {};
  std::vector<uint64_t> drawn_seeds = {};
  int status = 0;
  std::vector<LoggedPrompt> prompts = {};
};

// Throws Error that says what is wrong with the line, without its number.
LoggedLine parse_logged_line(std::string_view line);

// Holds where lines are, not what is in them.
class LogFile {
 public:
  static constexpr size_t kMostLineBytes = size_t{128} << 20;

  // Throws Error where the file can't be read or has no line.
  explicit LogFile(const std::string& path);
  ~LogFile();
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;

  size_t lines() const { return places_.size(); }
  size_t number(size_t index) const { return places_.at(index).number; }  // of the line in the file, from 1
  std::string name_of(size_t index) const;  // "[replay] PATH line N", for errors
  // Throws Error "[replay] PATH line N: ...", N from 1, on one that is no line of such a log.
  LoggedLine line(size_t index) const;

 private:
  struct Place {
    size_t number = 0;  // in the file, from 1; empty lines count
    uint64_t begin = 0, bytes = 0;
    bool ended = false;  // by a line feed
  };

  const std::string path_;
  int file_ = -1;
  std::vector<Place> places_;
};

}  // namespace reprise::client
