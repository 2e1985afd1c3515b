// What is made of the times of launches: where they overlap, where they lie outside of phases, and the tracks
// of a trace.
#include "core/profiler.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <map>

#include "core/error.h"
#include "core/json.h"

namespace reprise {
namespace {

class ProfilerTest : public testing::Test {
 protected:
  Profiler::Clock::time_point at(int64_t us) const { return start_ + std::chrono::microseconds(us); }
  void phase(std::string_view name, int64_t begin, int64_t end) {
    profiler_.add({.name = name, .layer = {}, .begin = at(begin), .end = at(end), .sizes = {}});
  }
  Profiler::Event launch(int64_t begin, int64_t end, int64_t tokens = 1) const {
    return {.name = "kernel", .layer = "layer", .begin = at(begin), .end = at(end), .sizes = {tokens, 1}};
  }
  std::vector<Json> trace() const {
    const std::string path = testing::TempDir() + fmt::format("profiler_test_{}.json", getpid());
    profiler_.write_chrome_trace(path);
    std::ifstream file(path);
    const Json all = Json::parse(file);
    std::filesystem::remove(path);
    return all["traceEvents"].get<std::vector<Json>>();
  }

  Profiler::Clock::time_point start_ = Profiler::Clock::now();
  Profiler profiler_;
};

TEST_F(ProfilerTest, HostTimeIsThatInWhichNoLaunchRuns) {
  profiler_.add(launch(110, 130));
  profiler_.add(launch(120, 150));  // side by side with the first
  profiler_.add(launch(125, 128));  // inside of both
  profiler_.add(launch(160, 170));
  phase("forward", 100, 200);
  phase("publish", 200, 210);
  EXPECT_DOUBLE_EQ(profiler_.host_us_per_decode_step(), 60);  // 100 - 40 - 10 + 10
  // Warm-ups and verification run between phases, with sizes of their own.
  profiler_.add(launch(220, 290, 5));
  phase("plan", 300, 310);
  profiler_.add(launch(315, 320));
  profiler_.add(launch(410, 490));
  phase("forward", 310, 330);
  profiler_.add(launch(335, 395));
  phase("publish", 400, 405);
  EXPECT_DOUBLE_EQ(profiler_.host_us_per_decode_step(), (60 + 30) / 2.0);  // 10 + 20 - 5 + 5
  // A step that prefills doesn't count.
  profiler_.add(launch(510, 520, 7));
  phase("forward", 500, 600);
  phase("publish", 600, 700);
  EXPECT_DOUBLE_EQ(profiler_.host_us_per_decode_step(), 45);
}

TEST_F(ProfilerTest, ATraceHasATrackForEachWorker) {
  const Profiler::Share shares[] = {{0, at(10), at(20)}, {2, at(12), at(30)}};
  profiler_.add(launch(10, 30), shares);
  profiler_.add(launch(40, 50));
  phase("forward", 5, 60);  // begins before what was added first
  std::map<int, std::string> tracks;
  std::map<int, std::vector<std::pair<double, double>>> times;
  for (const Json& event : trace()) {
    const int track = event["tid"].get<int>();
    if (event["ph"] == "M")
      tracks[track] = event["args"]["name"].get<std::string>();
    else
      times[track].emplace_back(event["ts"].get<double>(), event["dur"].get<double>());
  }
  EXPECT_EQ(tracks, (std::map<int, std::string>{{0, "step"},
                                                {1, "launches on the whole team"},
                                                {2, "replay, worker 0"},
                                                {3, "replay, worker 1"},
                                                {4, "replay, worker 2"}}));
  EXPECT_EQ(times, (std::map<int, std::vector<std::pair<double, double>>>{
                       {0, {{0, 55}}}, {1, {{35, 10}}}, {2, {{5, 10}}}, {4, {{7, 18}}}}));
  const std::string summary = profiler_.summary();
  EXPECT_NE(summary.find("kernel                                   2        0.030"), std::string::npos)
      << summary;
}

TEST_F(ProfilerTest, NothingIsATraceToo) {
  for (const Json& event : trace()) EXPECT_EQ(event["ph"], "M");
  EXPECT_EQ(profiler_.host_us_per_decode_step(), 0);
}

}  // namespace
}  // namespace reprise
