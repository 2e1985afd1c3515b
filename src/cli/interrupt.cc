#include "cli/interrupt.h"

namespace reprise::cli {
namespace {

std::atomic<int> caught_signal{0};
std::atomic<bool> was_caught{false};
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<bool>::is_always_lock_free,
              "a signal handler may use lock-free atomics only");

void note(int signal) {
  caught_signal = signal;
  was_caught = true;
}

}  // namespace

InterruptGuard::InterruptGuard(std::initializer_list<int> signals) {
  caught_signal = 0;
  was_caught = false;
  for (const int signal : signals) {
    struct sigaction action {
    }, before{};
    action.sa_handler = note;
    action.sa_flags = static_cast<int>(SA_RESETHAND);  // no SA_RESTART: a read that waits must end
    sigaction(signal, &action, &before);
    if (before.sa_handler == SIG_IGN)
      sigaction(signal, &before, nullptr);  // as nohup and shells ask for in the background
    else
      before_.emplace_back(signal, before);
  }
}

InterruptGuard::~InterruptGuard() {
  for (const auto& [signal, before] : before_) sigaction(signal, &before, nullptr);
}

int InterruptGuard::caught() {
  return caught_signal;
}

const std::atomic<bool>& InterruptGuard::flag() {
  return was_caught;
}

}  // namespace reprise::cli
