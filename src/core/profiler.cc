#include "core/profiler.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>

#include "core/json.h"
#include "core/text_output.h"

namespace reprise {
namespace {

double microseconds(Profiler::Clock::duration d) {
  return std::chrono::duration<double, std::micro>(d).count();
}

}  // namespace

void Profiler::add(const Event& launch, std::span<const Share> shares) {
  for (const Share& share : shares) shares_.push_back({events_.size(), share});
  events_.push_back(launch);
}

void Profiler::write_chrome_trace(const std::filesystem::path& path) const {
  TextOutput out(path.string(), "trace");
  out.write("{\"traceEvents\":[");
  const char* separator = "\n";
  const auto write = [&](const Json& line) {
    out.write(separator);
    out.write(to_json_text(line));
    separator = ",\n";
  };
  constexpr int kPhases = 0, kLaunches = 1, kFirstWorker = 2;  // tracks
  int workers = 0;
  for (const ShareOf& of : shares_) workers = std::max(workers, of.share.worker + 1);
  for (int track = 0; track < kFirstWorker + workers; ++track) {
    const std::string name = track == kPhases     ? "step"
                             : track == kLaunches ? "launches on the whole team"
                                                  : fmt::format("replay, worker {}", track - kFirstWorker);
    write({{"name", "thread_name"}, {"ph", "M"}, {"pid", 1}, {"tid", track}, {"args", {{"name", name}}}});
  }
  Clock::time_point start = Clock::time_point::max();
  for (const Event& event : events_) start = std::min(start, event.begin);
  const auto write_event = [&](const Event& event, int track, Clock::time_point begin,
                               Clock::time_point end) {
    write({{"name", event.name},
           {"cat", event.layer.empty() ? "step" : event.layer},
           {"ph", "X"},
           {"pid", 1},
           {"tid", track},
           {"ts", microseconds(begin - start)},
           {"dur", microseconds(end - begin)},
           {"args",
            {{"layer", event.layer},
             {"tokens", event.sizes.tokens},
             {"seqs", event.sizes.seqs},
             {"rows", event.sizes.rows}}}});
  };
  size_t next = 0;  // of shares_
  for (size_t i = 0; i < events_.size(); ++i) {
    const Event& event = events_[i];
    if (next == shares_.size() || shares_[next].event != i)
      write_event(event, event.layer.empty() ? kPhases : kLaunches, event.begin, event.end);
    for (; next < shares_.size() && shares_[next].event == i; ++next)
      write_event(event, kFirstWorker + shares_[next].share.worker, shares_[next].share.begin,
                  shares_[next].share.end);
  }
  out.write("\n]}\n");
  out.close();
}

double Profiler::host_us_per_decode_step() const {
  double total = 0;
  int64_t steps = 0;
  double host = 0;  // of the step under way
  bool decode = true;
  std::vector<const Event*> launches;  // since the last phase ended
  for (const Event& event : events_) {
    if (!event.layer.empty()) {
      launches.push_back(&event);
      continue;
    }
    host += microseconds(event.end - event.begin);
    std::sort(launches.begin(), launches.end(),
              [](const Event* a, const Event* b) { return a->begin < b->begin; });
    Clock::time_point covered = event.begin;  // until here launches are counted
    for (const Event* launch : launches) {
      const auto begin = std::max(launch->begin, covered), end = std::min(launch->end, event.end);
      if (begin < end) host -= microseconds(end - begin);
      covered = std::max(covered, end);
      const bool inside = launch->begin >= event.begin && launch->end <= event.end;
      if (inside) decode = decode && launch->sizes.tokens == launch->sizes.seqs;
    }
    launches.clear();
    if (event.name != kLastPhase) continue;
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
