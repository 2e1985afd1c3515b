// What /metrics says, in Prometheus' text form. Counting takes a lock that is held for less than a microsecond, once a
// request; the engine's numbers are read from snapshots.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "engine/scheduling/request.h"
#include "server/request_line.h"

namespace reprise::server {

struct Service;

class Histogram {
 public:
  explicit Histogram(std::vector<double> bounds) : bounds_(std::move(bounds)), counts_(bounds_.size() + 1) {}
  void add(double value);
  void write(std::string& to, std::string_view name, std::string_view help) const;

 private:
  std::vector<double> bounds_;  // ascending
  std::vector<int64_t> counts_;
  double sum_ = 0;
};

class Metrics {
 public:
  Metrics();

  // A request is over. Any thread.
  void count(const RequestLine& line, const engine::RequestMetrics& engine);
  // A line of the log could not be written. Any thread.
  void count_lost_line() { ++lost_lines_; }
  // Any thread.
  std::string text(const Service& service) const;

 private:
  std::atomic<int64_t> lost_lines_{0};
  mutable std::mutex mutex_;
  int64_t requests_ = 0, succeeded_ = 0, prompt_tokens_ = 0, generated_tokens_ = 0;
  std::map<std::string, int64_t> by_reason_;
  Histogram first_token_, per_token_, total_, queue_, prefill_, decode_, inference_, prompt_length_,
      output_length_;
};

}  // namespace reprise::server
