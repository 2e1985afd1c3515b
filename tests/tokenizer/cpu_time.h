// Processor time of the calling thread: tests of cost use it, since the machine may be busy with other work.
#pragma once

#include <ctime>

namespace reprise::tokenizer {

// Sanitizers run the same code several times slower.
#ifdef REPRISE_SANITIZED
inline constexpr double kSlowBuild = 20;
#else
inline constexpr double kSlowBuild = 1;
#endif

template <typename Work>
double cpu_seconds(Work&& work) {
  const auto now = [] {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
  };
  const double start = now();
  work();
  return now() - start;
}

}  // namespace reprise::tokenizer
