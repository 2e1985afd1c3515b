// Runs the requests of a log again and compares their replies.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "client/http_loop.h"
#include "client/replay/log_file.h"

namespace reprise::client {

struct ReplaySettings {
  std::string order = "file";  // file, reverse or shuffle:SEED
  int64_t concurrency = 1;     // requests at a time
  bool keep_model = true;      // false: leave the field `model` out
  bool skip_broken = false;    // lines that are none are told and counted; otherwise the first is an Error
};

// Throws Error that names `flag`.
std::vector<size_t> replay_order(const std::string& flag, std::string_view order, size_t lines);

struct ReplayNews {
  enum class Kind { differs, failed, broken };
  Kind kind = Kind::differs;
  size_t number = 0;  // of the line in the file, from 1
  std::string id, what;
};

struct ReplayReport {
  int64_t same = 0, differing = 0, failed = 0, broken = 0;
  int64_t aborted = 0;  // not run: the log has no whole reply, as the client went away
  int64_t refused = 0;  // not run: there was an error in place of a reply
  std::set<std::string> logged_fingerprints = {}, found_fingerprints = {};
};

// `news` is called for each line that is not as it should be. Throws Error on lines that are broken, before anything is
// sent, and on an order that is none.
ReplayReport run_replay(const LogFile& file, HttpLoop& loop, const ReplaySettings& settings,
                        const std::function<bool()>& interrupted,
                        const std::function<void(const ReplayNews&)>& news);

}  // namespace reprise::client
