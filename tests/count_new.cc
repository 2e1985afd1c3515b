// Every replaceable form of operator new and delete: what the library's own form of one gave may not come
// back to a delete of ours (AddressSanitizer, whose forms keep their own books, says so), and an aligned one
// counts like any other.
#include "tests/count_new.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<int64_t> count{0};

std::atomic<bool> refusing{false}, refuse_all_after{false};
std::atomic<int64_t> refuse_at{0}, calls_seen{0};
std::atomic<bool (*)()> spared_call{nullptr};
thread_local int calls_allowed = 0;

void* counted(std::size_t size, std::size_t alignment) noexcept {
  count.fetch_add(1, std::memory_order_relaxed);
  if (reprise::refuse_call()) return nullptr;
  void* memory = nullptr;
  return posix_memalign(&memory, std::max(alignment, sizeof(void*)), std::max<std::size_t>(size, 1)) == 0
             ? memory
             : nullptr;
}

void* counted_or_throw(std::size_t size, std::size_t alignment) {
  void* memory = counted(size, alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

constexpr std::size_t kDefault = __STDCPP_DEFAULT_NEW_ALIGNMENT__;

}  // namespace

int64_t reprise::allocations() {
  return count;
}

bool reprise::refuse_call() {
  if (!refusing.load(std::memory_order_acquire) || calls_allowed > 0) return false;
  const int64_t call = calls_seen.fetch_add(1);
  if (call < refuse_at || (call > refuse_at && !refuse_all_after) || refuse_at < 0) return false;
  bool (*const spared)() = spared_call;
  if (spared == nullptr) return true;
  const CallsAllowed allowed;  // to look at the stack
  return !spared();
}

reprise::RefusedCalls::RefusedCalls(int64_t at, bool all_after, bool (*spared)()) {
  spared_call = spared;
  refuse_at = at;
  refuse_all_after = all_after;
  calls_seen = 0;
  refusing = true;
}
reprise::RefusedCalls::~RefusedCalls() {
  refusing = false;
}
int64_t reprise::RefusedCalls::seen() const {
  return calls_seen;
}

reprise::CallsAllowed::CallsAllowed() {
  ++calls_allowed;
}
reprise::CallsAllowed::~CallsAllowed() {
  --calls_allowed;
}

void* operator new(std::size_t size) {
  return counted_or_throw(size, kDefault);
}
void* operator new[](std::size_t size) {
  return counted_or_throw(size, kDefault);
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return counted(size, kDefault);
}
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
  return counted(size, kDefault);
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  return counted_or_throw(size, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
  return counted_or_throw(size, static_cast<std::size_t>(alignment));
}
void* operator new(std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return counted(size, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return counted(size, static_cast<std::size_t>(alignment));
}

void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete[](void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, const std::nothrow_t&) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, const std::nothrow_t&) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::align_val_t, const std::nothrow_t&) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::align_val_t, const std::nothrow_t&) noexcept {
  std::free(memory);
}
