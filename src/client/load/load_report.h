// What a load has shown: rates, times by percentile, errors by kind, goodput.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "client/load/load_run.h"
#include "core/json_fwd.h"

namespace reprise::client {

// Milliseconds that a request may take to count as good; 0: no limit.
struct GoodputLimits {
  double ttft = 0, tpot = 0, itl = 0, e2e = 0;
  bool any() const { return ttft > 0 || tpot > 0 || itl > 0 || e2e > 0; }
};
// "ttft:500,tpot:50". Throws Error that names `flag`.
GoodputLimits parse_goodput(const std::string& flag, std::string_view text);

// Milliseconds; percentiles are interpolated between neighbours, as numpy does.
struct Times {
  size_t count = 0;
  double mean = 0, p50 = 0, p90 = 0, p95 = 0, p99 = 0, most = 0;
};
Times times_of(std::vector<double> values);

struct LoadReport {
  int64_t completed = 0, failed = 0, without_usage = 0;
  std::map<std::string, int64_t> errors = {};       // by kind
  std::map<std::string, std::string> samples = {};  // of each kind what one of them said
  double duration_s = 0;
  int64_t input_tokens = 0, output_tokens = 0, cached_tokens = 0, chunks = 0, most_open = 0;
  Times ttft = {};  // from the request to its first text
  Times tpot = {};  // mean time of a request's tokens behind the first
  Times itl = {};   // between two chunks with text, of all requests together
  Times e2e = {};   // from the request to the end of its reply
  GoodputLimits limits = {};
  int64_t good = 0;  // requests within all limits
  double client_cpu_s = 0;

  double per_second(int64_t count) const {
    return duration_s > 0 ? static_cast<double>(count) / duration_s : 0;
  }
};

LoadReport report_of(const LoadResult& result, const GoodputLimits& limits);

Json report_json(const LoadReport& report);
std::string report_table(const LoadReport& report);

}  // namespace reprise::client
