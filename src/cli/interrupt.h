// Ctrl-C and SIGTERM as a question that a long run asks, so that it ends with what is done instead of
// nowhere.
#pragma once

#include <atomic>
#include <csignal>
#include <initializer_list>
#include <utility>
#include <vector>

#include "core/error.h"

namespace reprise::cli {

// While it lives, the first of these signals is only noted; a second one of the same kind ends the process as
// usual. System calls that wait (read, poll) are interrupted by it. One at a time, on the main thread.
class InterruptGuard {
 public:
  explicit InterruptGuard(std::initializer_list<int> signals);
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  // The signal that came, 0: none.
  static int caught();
  // True from the moment it came.
  static const std::atomic<bool>& flag();

 private:
  std::vector<std::pair<int, struct sigaction>> before_;
};

// Ends the command: main() says the message and exits with 128 + the signal, as shells have it.
class Interrupted : public Error {
 public:
  Interrupted(int signal, const std::string& message) : Error(message), signal_(signal) {}
  int exit_code() const { return 128 + signal_; }

 private:
  int signal_;
};

}  // namespace reprise::cli
