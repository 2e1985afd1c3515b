// The choice of workers against made-up times, so that it is told what a machine would tell it.
#include "device/cpu/worker_choice.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>

namespace reprise::cpu {
namespace {

constexpr int kSettled = 64;  // replays after which no trial is under way

struct Served {
  int workers = 0;  // of the last replay
  bool fixed = false;
  std::map<int, int> replays;  // by workers
};

// `replays` of T tokens, each of which takes us(workers, index), with fixed shares `fixed_factor` of it.
Served serve(WorkerChoice& choice, int64_t tokens, int replays, const std::function<double(int, int)>& us,
             double fixed_factor = 1.1) {
  Served served;
  for (int i = 0; i < replays; ++i) {
    const auto [sharing, timed] = choice.next(tokens);
    ++served.replays[sharing.workers];
    served.workers = sharing.workers;
    served.fixed = sharing.fixed;
    if (timed) choice.took(sharing.fixed ? fixed_factor * us(sharing.workers, i) : us(sharing.workers, i));
  }
  return served;
}

TEST(WorkerChoice, TakesTheFastest) {
  const std::map<int, double> small{{8, 40}, {4, 30}, {2, 25}, {1, 28}};
  WorkerChoice choice(8, 100);
  EXPECT_EQ(serve(choice, 1, kSettled, [&](int workers, int) { return small.at(workers); }).workers, 2);
}

TEST(WorkerChoice, TakesFixedSharesWhereTheyAreFaster) {
  const std::map<int, double> small{{16, 90}, {8, 40}, {4, 30}, {2, 25}, {1, 20}};
  const auto us = [&](int workers, int) { return small.at(workers); };
  WorkerChoice choice(16, 100);
  Served served = serve(choice, 1, WorkerChoice::most_trials(16) + 1, us, 0.7);
  EXPECT_EQ(served.workers, 2);
  EXPECT_TRUE(served.fixed);
  served = serve(choice, 4, kSettled, us, 1.0);
  EXPECT_EQ(served.workers, 1);
  EXPECT_FALSE(served.fixed);
}

TEST(WorkerChoice, DoesNotTryFewerWhereSharingSurelyPays) {
  for (const double us : {100, 1000}) {
    WorkerChoice choice(2, 10);
    const Served served = serve(
        choice, 1, 3 * WorkerChoice::kReplaysUntil, [&](int, int) { return us; }, 0.5);
    EXPECT_EQ(served.replays.size(), 1u);
    EXPECT_TRUE(served.replays.contains(2));
    EXPECT_EQ(served.fixed, us == 100);  // with long nodes that is not tried
  }
}

TEST(WorkerChoice, StopsGoingDownWhereFewerAreClearlySlower) {
  WorkerChoice choice(8, 1000);
  const Served served =
      serve(choice, 1, kSettled, [](int workers, int) { return 100.0 / static_cast<double>(workers); });
  EXPECT_EQ(served.workers, 8);
  EXPECT_FALSE(served.replays.contains(2));  // 4 took twice as long
}

TEST(WorkerChoice, AnOutlierOrTwoChangeNothing) {
  WorkerChoice choice(2, 100);
  const auto us = [](int workers, int i) { return i % WorkerChoice::kTrials < 2 ? 5000.0 : 10.0 * workers; };
  EXPECT_EQ(serve(choice, 1, kSettled, us).workers, 1);
}

TEST(WorkerChoice, KnowsSizesApartAndForgets) {
  WorkerChoice choice(2, 100);
  const auto rather_one = [](int workers, int) { return workers == 1 ? 10.0 : 20.0; };
  const auto rather_two = [](int workers, int) { return workers == 1 ? 20.0 : 10.0; };
  EXPECT_EQ(serve(choice, 1, kSettled, rather_one).workers, 1);
  EXPECT_EQ(serve(choice, 64, kSettled, rather_two).workers, 2);
  EXPECT_EQ(serve(choice, 1, kSettled, rather_two).workers, 1);  // nothing is timed now
  EXPECT_EQ(serve(choice, 1, WorkerChoice::kReplaysUntil + kSettled, rather_two).workers, 2);
}

TEST(WorkerChoice, OneWorkerIsNeverTimed) {
  WorkerChoice choice(1, 100);
  const WorkerChoice::Turn turn = choice.next(1);
  EXPECT_EQ(turn.sharing.workers, 1);
  EXPECT_FALSE(turn.timed);
}

}  // namespace
}  // namespace reprise::cpu
