#include "core/profiler.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>

#include "core/error.h"
#include "core/json.h"

namespace reprise {
namespace {

double microseconds(Profiler::Clock::duration d) {
  return std::chrono::duration<double, std::micro>(d).count();
}

}  // namespace

void Profiler::write_chrome_trace(const std::filesystem::path& path) const {
  const std::filesystem::path temporary = path.string() + ".part";
  std::ofstream out(temporary);
  if (!out)
    throw Error("[trace] cannot create {}: {}; choose another --trace", temporary.string(),
                std::strerror(errno));
  out << "{\"traceEvents\":[";
  const char* separator = "\n";
  int error = 0;  // the stream keeps that it failed, not why
  const auto note = [&] {
    if (!out && error == 0) error = errno;
  };
  for (const Event& event : events_) {
    const Json line = {
        {"name", event.name},
        {"cat", event.layer.empty() ? "step" : event.layer},
        {"ph", "X"},
        {"pid", 1},
        {"tid", event.layer.empty() ? 0 : 1},
        {"ts", microseconds(event.begin - events_.front().begin)},
        {"dur", microseconds(event.end - event.begin)},
        {"args", {{"layer", event.layer}, {"tokens", event.sizes.tokens}, {"seqs", event.sizes.seqs}}}};
    out << separator << to_json_text(line);
    note();
    separator = ",\n";
  }
  out << "\n]}\n";
  out.close();
  note();
  std::error_code failed;
  if (out) std::filesystem::rename(temporary, path, failed);
  if (!out || failed) {
    const std::string reason = failed ? failed.message() : std::strerror(error);
    std::error_code ignored;
    std::filesystem::remove(temporary, ignored);
    throw Error("[trace] cannot write {}: {}; free space or choose another --trace", path.string(), reason);
  }
}

double Profiler::host_us_per_decode_step() const {
  double total = 0;
  int64_t steps = 0;
  double host = 0;  // of the step under way: its phases less its launches
  bool decode = true;
  for (const Event& event : events_) {
    const double spent = microseconds(event.end - event.begin);
    host += event.layer.empty() ? spent : -spent;
    if (!event.layer.empty()) decode = decode && event.sizes.tokens == event.sizes.seqs;
    if (!event.layer.empty() || event.name != kLastPhase) continue;
    if (decode) {
      total += host;
      ++steps;
    }
    host = 0;
    decode = true;
  }
  return steps == 0 ? 0 : total / static_cast<double>(steps);
}

std::string Profiler::summary() const {
  struct Total {
    std::string_view name;
    int64_t calls = 0;
    double microseconds = 0;
  };
  std::map<std::string_view, Total> by_name;
  double all = 0;
  for (const Event& event : events_) {
    if (event.layer.empty()) continue;  // phases contain launches
    Total& total = by_name[event.name];
    total.name = event.name;
    ++total.calls;
    const double spent = microseconds(event.end - event.begin);
    total.microseconds += spent;
    all += spent;
  }
  std::vector<Total> totals;
  totals.reserve(by_name.size());
  for (const auto& [name, total] : by_name) totals.push_back(total);
  std::sort(totals.begin(), totals.end(),
            [](const Total& a, const Total& b) { return a.microseconds > b.microseconds; });
  std::string text = fmt::format("{:<32} {:>9} {:>12} {:>7}\n", "kernel", "calls", "total ms", "share");
  for (const Total& total : totals)
    text += fmt::format("{:<32} {:>9} {:>12.3f} {:>6.1f}%\n", total.name, total.calls,
                        total.microseconds / 1000, 100 * total.microseconds / std::max(all, 1e-9));
  return text;
}

}  // namespace reprise
