#include "weights/shrink_guard.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <mutex>

namespace reprise::weights {

// A handler may run at any time on any thread, so it takes no lock and finds nothing freed: ranges are made
// once, linked for ever and used again by later guards.
struct ShrinkGuard::Range {
  std::atomic<uintptr_t> begin{0};
  std::atomic<uintptr_t> end{0};  // of whole pages; 0: not in use
  std::atomic<bool> lost{false};
  Range* next = nullptr;
};

namespace {

std::atomic<ShrinkGuard::Range*> ranges{nullptr};
std::mutex ranges_mutex;  // of those who add and remove
uintptr_t page_size = 0;
struct sigaction former;

void pass_on(int signal, siginfo_t* info, void* context) {
  if ((former.sa_flags & SA_SIGINFO) != 0) {
    former.sa_sigaction(signal, info, context);
  } else if (former.sa_handler != SIG_DFL && former.sa_handler != SIG_IGN) {
    former.sa_handler(signal);
  } else {
    ::signal(signal, SIG_DFL);
    ::raise(signal);  // delivered on return: the process ends as it would have
  }
}

// mmap isn't on the list of functions that a handler may call, but on Linux it is a plain system call.
void on_sigbus(int signal, siginfo_t* info, void* context) {
  const int saved_errno = errno;
  const bool fault = info->si_code > 0;  // not sent by somebody
  const auto address = fault ? reinterpret_cast<uintptr_t>(info->si_addr) : 0;
  for (ShrinkGuard::Range* range = ranges.load(); range != nullptr; range = range->next) {
    const uintptr_t end = range->end.load();
    if (address < range->begin.load() || address >= end) continue;
    if (range->end.load() != end) continue;  // it changed hands between the two
    // All that follows is lost too where the file shrank; a page more or less doesn't matter after this.
    const uintptr_t page = address / page_size * page_size;
    void* zeros =
        ::mmap(reinterpret_cast<void*>(page), end - page, PROT_READ,  // NOLINT(performance-no-int-to-ptr)
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (zeros == MAP_FAILED) break;
    range->lost.store(true);
    errno = saved_errno;
    return;  // the instruction runs again and reads zeros
  }
  pass_on(signal, info, context);
}

void install() {
  page_size = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  struct sigaction action {};
  action.sa_sigaction = on_sigbus;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGBUS, &action, &former);
}

}  // namespace

ShrinkGuard::ShrinkGuard(const std::byte* data, size_t size) {
  static std::once_flag installed;
  std::call_once(installed, install);
  const std::lock_guard lock(ranges_mutex);
  Range* range = ranges.load();
  while (range != nullptr && range->end.load() != 0) range = range->next;
  if (range == nullptr) {
    range = new Range;
    range->next = ranges.load();
    ranges.store(range);
  }
  range->lost.store(false);
  range->begin.store(reinterpret_cast<uintptr_t>(data));
  range->end.store((reinterpret_cast<uintptr_t>(data) + size + page_size - 1) / page_size * page_size);
  range_ = range;
}

ShrinkGuard::~ShrinkGuard() {
  const std::lock_guard lock(ranges_mutex);
  range_->end.store(0);
}

bool ShrinkGuard::lost() const {
  return range_->lost.load();
}

}  // namespace reprise::weights
