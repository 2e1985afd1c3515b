#include "device/cpu/bandwidth_probe.h"

#include <emmintrin.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>

#include "core/memory.h"

namespace reprise::cpu {
namespace {

constexpr size_t kItem = size_t{1} << 20;  // bytes of a work item

// Eight sums in flight; 16-byte loads are several times faster than memory. Sums wrap around: they need only
// depend on what was read.
uint64_t sum_bytes(const std::byte* data, size_t bytes) {
  __m128i sums[8] = {};
  for (size_t at = 0; at < bytes; at += 128) {
    _mm_prefetch(reinterpret_cast<const char*>(data + at + 4096), _MM_HINT_T0);
    _mm_prefetch(reinterpret_cast<const char*>(data + at + 4160), _MM_HINT_T0);
    for (size_t i = 0; i < 8; ++i)
      sums[i] = _mm_add_epi64(sums[i], _mm_load_si128(reinterpret_cast<const __m128i*>(data + at + i * 16)));
  }
  for (size_t i = 1; i < 8; ++i) sums[0] = _mm_add_epi64(sums[0], sums[i]);
  return static_cast<uint64_t>(_mm_cvtsi128_si64(sums[0]));
}

}  // namespace

double read_bandwidth(ThreadTeam& team, size_t bytes, int passes) {
  const auto items = static_cast<int64_t>(std::max<size_t>(1, bytes / kItem));
  const MemoryRange memory(host_memory(), static_cast<size_t>(items) * kItem);
  const auto item = [&](int64_t i) { return memory.data() + static_cast<size_t>(i) * kItem; };
  team.parallel_for(items, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) std::memset(item(i), 1, kItem);
  });
  std::atomic<uint64_t> sink{0};  // keeps the reads from being dropped
  double best = 0;
  for (int pass = 0; pass < passes; ++pass) {
    const auto start = std::chrono::steady_clock::now();
    team.parallel_for(items, 1, [&](int64_t begin, int64_t end, int) {
      uint64_t sum = 0;
      for (int64_t i = begin; i < end; ++i) sum += sum_bytes(item(i), kItem);
      sink.fetch_add(sum, std::memory_order_relaxed);
    });
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    best = std::max(best, static_cast<double>(items) * static_cast<double>(kItem) / seconds * 1e-9);
  }
  return best;
}

}  // namespace reprise::cpu
