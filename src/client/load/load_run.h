// Sends many requests to a server that streams by OpenAI's API, and notes when their tokens come.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "client/http_loop.h"

namespace reprise::client {

struct LoadSettings {
  std::string path = "/v1/completions";
  // Closed loop: so many requests are open at a time. With a rate (requests per second) they come as a Poisson process
  // instead, however many are open.
  int64_t concurrency = 1;
  double rate = 0;
  int64_t requests = 0;   // in all; 0: no limit but the time
  double duration_s = 0;  // none begins later; those that are open end. 0: no limit but the number
  uint64_t seed = 0;      // of arrivals
};

struct RequestRecord {
  std::string error = {};  // empty: complete; else its kind: http_429, connect, closed, stream_error ...
  std::string what = {};   // of an error, for people
  double start_s = 0;      // since the load began: when it was sent, or due where the client was late
  double first_s = 0;      // from then to the first text
  double total_s = 0;      // from then to the end
  std::vector<float> gaps_s = {};                                   // between arrivals of chunks with text
  int64_t prompt_tokens = 0, output_tokens = 0, cached_tokens = 0;  // by the server's usage
  bool has_usage = false;                                           // without it output_tokens counts chunks
};

struct LoadResult {
  std::vector<RequestRecord> requests = {};  // in the order of their ends; none that was interrupted
  double duration_s = 0;                     // from the first beginning to the last end
  double client_cpu_s = 0;                   // of this thread
  int64_t chunks = 0;
  int64_t most_open = 0;
};

// `bodies`: of the requests, in turn, from the first again where there are more requests. `interrupted` ends the run;
// `progress` is called at each end with how many there were. Both may be null.
LoadResult run_load(HttpLoop& loop, const LoadSettings& settings, const std::vector<std::string>& bodies,
                    const std::function<bool()>& interrupted, const std::function<void(int64_t)>& progress);

}  // namespace reprise::client
