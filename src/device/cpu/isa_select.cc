#include "device/cpu/isa_select.h"

#include <cpuid.h>
#include <fmt/ranges.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "core/error.h"
#include "core/launch.h"
#include "core/thread_team.h"
#include "kernels/cpu/matmul.h"
#include "kernels/cpu/matmul_call.h"
#include "kernels/cpu/pack.h"

namespace reprise::cpu {
namespace {

using namespace kernels::cpu;

// A small bf16 matmul, x [m, k] of ones and twos, w [n, k] of -1, 0 and 1: all sums are small whole numbers,
// so every level must give exactly the same.
class SmallMatmul {
 public:
  SmallMatmul(int64_t m, int64_t n, int64_t k)
      : m_(m),
        n_(n),
        k_(k),
        x_(static_cast<size_t>(m * k)),
        y_(static_cast<size_t>(m * n)),
        scratch_(host_memory(), KernelContext::kScratchBytes),
        packed_(host_memory(), packed_bytes(DType::bf16, n, k)) {
    for (size_t i = 0; i < x_.size(); ++i) x_[i] = f32_to_bf16(x_value(i));
    std::vector<uint16_t> w(static_cast<size_t>(n * k));
    for (size_t i = 0; i < w.size(); ++i) w[i] = f32_to_bf16(w_value(i));
    pack_rows(DType::bf16, w.data(), 0, n, n, k, packed_.data());
  }

  // Allocates nothing, so that a forked child may call it.
  void run(MatmulFunction function) {
    MatmulCall call{.x = x_.data(),
                    .rows = m_,
                    .k = k_,
                    .bf16_out = false,
                    .segment_count = 1,
                    .segments = {},
                    .scratch = reinterpret_cast<unsigned char*>(scratch_.data()),
                    .scratch_bytes = KernelContext::kScratchBytes};
    call.segments[0] = {reinterpret_cast<const unsigned char*>(packed_.data()), nullptr, y_.data(), n_};
    function(call, 0, matmul_panels(n_));
  }

  bool right() const {
    for (int64_t r = 0; r < m_; ++r)
      for (int64_t c = 0; c < n_; ++c) {
        float sum = 0;
        for (int64_t i = 0; i < k_; ++i)
          sum += x_value(static_cast<size_t>(r * k_ + i)) * w_value(static_cast<size_t>(c * k_ + i));
        if (y_[static_cast<size_t>(r * n_ + c)] != sum) return false;
      }
    return true;
  }

 private:
  static float x_value(size_t i) { return static_cast<float>(i * 7 % 5 % 2 + 1); }
  static float w_value(size_t i) { return static_cast<float>(i * 11 % 7 % 3) - 1.0f; }

  int64_t m_;
  int64_t n_;
  int64_t k_;
  std::vector<uint16_t> x_;
  std::vector<float> y_;
  MemoryRange scratch_;
  MemoryRange packed_;
};

bool cpu_has_tiles() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  constexpr unsigned kBf16 = 1u << 22;
  constexpr unsigned kTile = 1u << 24;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (d & kBf16) == 0 || (d & kTile) == 0) return false;
  constexpr unsigned kOsSaves = 1u << 27;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & kOsSaves) == 0) return false;
  unsigned low = 0, high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  constexpr unsigned kTileState = 3u << 17;
  return (low & kTileState) == kTileState;
}

// Linux hands out the tile registers on request; threads and children that start later have them too.
bool kernel_grants_tiles() {
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

// Under some virtual machines all the bits are there and the leaves that describe the tiles are empty;
// elsewhere the instructions may trap. So: a known answer, in a child.
bool tiles_compute() {
  SmallMatmul trial(17, 40, 70);  // full and partial tiles, a tail of k
  const pid_t child = fork();
  if (child < 0) return false;
  if (child == 0) {
    for (int number : {SIGILL, SIGSEGV, SIGBUS, SIGFPE}) signal(number, SIG_DFL);
    alarm(5);
    trial.run(matmul_bf16_amx);
    _exit(trial.right() ? 0 : 1);
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return false;
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

std::vector<Isa> find_isas() {
  std::vector<Isa> isas = {Isa::scalar};
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("f16c"))
    return isas;
  isas.push_back(Isa::avx2);
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512dq"))
    return isas;
  isas.push_back(Isa::avx512);
  if (!__builtin_cpu_supports("avx512bf16")) return isas;
  isas.push_back(Isa::avx512_bf16);
  if (cpu_has_tiles() && kernel_grants_tiles() && tiles_compute()) isas.push_back(Isa::amx);
  return isas;
}

double seconds_of(SmallMatmul& matmul, MatmulFunction function) {
  const auto start = std::chrono::steady_clock::now();
  matmul.run(function);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// bf16 has two levels with an order of accumulation of their own, so the choice must come out the same at
// each start: it asks for a clear lead where products are the limit (M = 32), and the cases at hand are far
// from it on either side (vdpbf16ps against float FMA: 2.0 on AMD, 0.5 on Intel; tiles against either: more
// than 8). Where memory is the limit (M = 1) all levels are alike. avx512 and avx2 need no contest: wherever
// both exist the wider one is at least as fast.
Isa measure_bf16() {
  constexpr double kClearLead = 1.3;
  struct Contender {
    Isa isa;
    MatmulFunction function;
    double seconds = 1e9;
  };
  std::vector<Contender> contenders;
  for (Isa isa : available_isas()) {
    if (isa == Isa::avx512) contenders.push_back({isa, matmul_bf16_avx512});
    if (isa == Isa::avx512_bf16) contenders.push_back({isa, matmul_bf16_avx512_bf16});
    if (isa == Isa::amx) contenders.push_back({isa, matmul_bf16_amx});
  }
  if (contenders.size() < 2) return available_isas().back();
  SmallMatmul matmul(32, 512, 512);
  const FlushDenormals flush;
  constexpr int kRounds = 12;  // in turn, so that a disturbance hits all; the best of each counts
  for (int round = 0; round < kRounds; ++round)
    for (Contender& c : contenders) c.seconds = std::min(c.seconds, seconds_of(matmul, c.function));
  Contender best = contenders[0];
  for (const Contender& c : contenders)
    if (c.seconds * kClearLead < best.seconds) best = c;
  return best.isa;
}

Isa automatic(DType dtype) {
  if (dtype == DType::bf16) {
    static const Isa chosen = measure_bf16();
    return chosen;
  }
  return std::min(available_isas().back(), Isa::avx512);  // floats gain nothing above
}

}  // namespace

const std::vector<Isa>& available_isas() {
  static const std::vector<Isa> isas = find_isas();
  return isas;
}

Isa choose_isa(DType dtype, std::string_view requested) {
  std::string source = "--isa";
  if (requested.empty()) {
    const char* variable = std::getenv("REPRISE_ISA");
    if (variable != nullptr) requested = variable;
    source = "REPRISE_ISA";
  }
  if (requested.empty() || requested == "auto") return automatic(dtype);
  std::vector<std::string_view> names;
  for (Isa isa : available_isas()) names.push_back(name_of(isa));
  const auto isa = parse_isa(requested);
  if (!isa || std::find(names.begin(), names.end(), requested) == names.end())
    throw Error("[isa] {} asks for '{}', which {}; this CPU has: {}; choose one of these or 'auto'", source,
                requested, isa ? "this CPU can't run" : "isn't a level", fmt::join(names, ", "));
  return *isa;
}

}  // namespace reprise::cpu
