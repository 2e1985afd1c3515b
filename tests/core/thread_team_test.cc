#include "core/thread_team.h"

#include <gtest/gtest.h>
#include <xmmintrin.h>

#include <atomic>
#include <chrono>
#include <limits>
#include <thread>
#include <vector>

#include "core/error.h"

namespace reprise {
namespace {

TEST(ThreadTeam, EveryItemRunsOnce) {
  for (const int size : {1, 2, 4}) {
    ThreadTeam team(size);
    for (const int64_t items : {0, 1, 2, 7, 64, 1000}) {
      std::vector<std::atomic<int>> seen(static_cast<size_t>(items));
      for (int repeat = 0; repeat < 50; ++repeat)
        team.parallel_for(items, 1 + repeat % 5, [&](int64_t begin, int64_t end, int worker) {
          ASSERT_GE(worker, 0);
          ASSERT_LT(worker, team.size());
          for (int64_t i = begin; i < end; ++i) ++seen[static_cast<size_t>(i)];
        });
      for (const auto& count : seen) ASSERT_EQ(count, 50);
    }
  }
}

TEST(ThreadTeam, FirstSharesAreEqualAndLeaveARest) {
  EXPECT_EQ(Cut(1000, 1).first_share(2, 2), 0u);  // a small team has none
  for (const int workers : {Cut::kFirstShareWorkers, 9, 64})
    for (const int64_t items : {2, 40, 64, 192, 1000}) {
      const Cut cut(items, 1);
      const uint32_t each = cut.first_share(1, workers);
      EXPECT_GE(each, 1u);
      for (int worker = 0; worker < workers; ++worker)
        EXPECT_EQ(cut.first_share(worker + 1, workers),
                  std::min<uint32_t>(cut.units, cut.first_share(worker, workers) + each));
      if (items >= 4 * workers) {
        EXPECT_LE(cut.first_share(workers, workers), cut.units * 3 / 4);
      }
    }
}

// Workers that are held up elsewhere: the caller does all of the job, their first shares (where the team is large
// enough to have any) as well.
TEST(ThreadTeam, WorkersThatAreAwayDelayNobody) {
  struct Hold {
    std::atomic<int>* entered;
    std::atomic<bool>* released;
  };
  for (const int workers : {2, Cut::kFirstShareWorkers}) {
    ThreadTeam team(workers);
    std::atomic<int> entered{0};
    std::atomic<bool> released{false};
    const Hold hold{&entered, &released};
    team.fork(
        [hold, workers](int worker) {
          ++*hold.entered;
          const auto may_go = [&] { return worker == 0 ? *hold.entered == workers : hold.released->load(); };
          while (!may_go()) std::this_thread::yield();
        },
        workers);
    for (const int64_t items : {2, 3, 100}) {
      std::vector<int> seen(static_cast<size_t>(items));
      team.parallel_for(items, 1, [&](int64_t begin, int64_t end, int worker) {
        EXPECT_EQ(worker, 0);
        for (int64_t i = begin; i < end; ++i) ++seen[static_cast<size_t>(i)];
      });
      EXPECT_EQ(seen, std::vector<int>(static_cast<size_t>(items), 1));
    }
    released = true;
    team.wait_until_left();
  }
}

TEST(ThreadTeam, WorkersWakeAfterTheyParked) {
  ThreadTeam team(3);
  for (int i = 0; i < 20; ++i) {
    std::atomic<int64_t> sum{0};
    team.parallel_for(100, 1, [&](int64_t begin, int64_t end, int) { sum += end - begin; });
    ASSERT_EQ(sum, 100);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

// Jobs of different functions back to back: a late worker must never run an old job's function on a new one's
// items.
TEST(ThreadTeam, JobsNeverMix) {
  for (const int workers : {4, Cut::kFirstShareWorkers}) {
    ThreadTeam team(workers);
    std::atomic<int64_t> a{0}, b{0};
    for (int i = 0; i < 20000; ++i) {
      team.parallel_for(8, 1, [&](int64_t begin, int64_t end, int) { a += end - begin; });
      team.parallel_for(16, 2, [&](int64_t begin, int64_t end, int) { b += end - begin; });
    }
    EXPECT_EQ(a, 20000 * 8);
    EXPECT_EQ(b, 20000 * 16);
  }
}

TEST(ThreadTeam, DenormalsAreFlushedInJobsAndRestoredAfter) {
  ThreadTeam team(2);
  const unsigned before = _mm_getcsr();
  std::atomic<int> flushed{0};
  team.parallel_for(64, 1, [&](int64_t begin, int64_t end, int) {
    volatile float tiny = std::numeric_limits<float>::min();
    const float half = tiny * 0.5f;
    if (half == 0.0f) flushed += static_cast<int>(end - begin);
  });
  EXPECT_EQ(flushed, 64);
  EXPECT_EQ(_mm_getcsr() & 0x8040u, before & 0x8040u);
}

TEST(ThreadTeam, RefusesSillySizes) {
  EXPECT_THROW(ThreadTeam(-1), Error);
  EXPECT_THROW(ThreadTeam(100000), Error);
  EXPECT_GE(usable_cores(), 1);
}

}  // namespace
}  // namespace reprise
