#include "weights/dequantize.h"

#include <bit>
#include <cstring>

#include "core/error.h"

// Loops are written over a whole block with constant trip counts, so that the compiler vectorises them; each
// runs in a baseline and an AVX2 clone. FMA is not enabled in either, so both give the same bits.
#if defined(__x86_64__)
#include <immintrin.h>
#define REPRISE_HAS_AVX2_CLONE 1
#endif

namespace reprise::weights {
namespace {

constexpr int kBlock = 32;   // elements of a block of the simple types
constexpr int kSuper = 256;  // elements of a super-block of the K types

// f16 to f32 in integer and normal-number arithmetic only: the shift-and-scale trick through a denormal float
// would read as zero on a thread that has denormals-are-zero set.
[[gnu::always_inline]] inline float half_to_float(uint16_t h) {
  const uint32_t magnitude = (h & 0x7fffu) << 13;
  const uint32_t sign = static_cast<uint32_t>(h & 0x8000u) << 16;
  const float subnormal = std::bit_cast<float>(magnitude + (113u << 23)) - std::bit_cast<float>(113u << 23);
  const uint32_t normal = magnitude + (112u << 23);
  const uint32_t special = magnitude + (224u << 23);  // infinity and NaN, the payload kept
  uint32_t bits = magnitude >= (31u << 23) ? special : normal;
  bits = magnitude < (1u << 23) ? std::bit_cast<uint32_t>(subnormal) : bits;
  return std::bit_cast<float>(bits | sign);
}

template <typename T>
[[gnu::always_inline]] inline T load(const std::byte* in) {
  T value;
  std::memcpy(&value, in, sizeof(T));
  return value;
}

[[gnu::always_inline]] inline float load_half(const std::byte* in) {
  return half_to_float(load<uint16_t>(in));
}

struct F16 {
  [[gnu::always_inline]] static void row(const std::byte* in, float* out, int64_t n) {
    for (int64_t i = 0; i < n; ++i) out[i] = load_half(in + 2 * i);
  }
};

struct Bf16 {
  [[gnu::always_inline]] static void row(const std::byte* in, float* out, int64_t n) {
    for (int64_t i = 0; i < n; ++i)
      out[i] = std::bit_cast<float>(static_cast<uint32_t>(load<uint16_t>(in + 2 * i)) << 16);
  }
};

struct Q8_0 {
  [[gnu::always_inline]] static void row(const std::byte* in, float* out, int64_t n) {
    for (int64_t b = 0; b < n / kBlock; ++b, in += 34, out += kBlock) {
      const float d = load_half(in);
      for (int i = 0; i < kBlock; ++i) out[i] = static_cast<float>(static_cast<int8_t>(in[2 + i])) * d;
    }
  }
};

// The low nibbles of 16 bytes are elements 0..15 of the block, the high ones 16..31. kHigh: byte offset of
// the 32 fifth bits (0: none); kMin: whether a minimum follows the scale; otherwise the values are centred by
// kOffset.
template <int kHigh, bool kMin, int kOffset, int kBytes>
struct SimpleNibbles {
  [[gnu::always_inline]] static void row(const std::byte* in, float* out, int64_t n) {
    constexpr int kQuants = kBytes - kBlock / 2;
    for (int64_t b = 0; b < n / kBlock; ++b, in += kBytes, out += kBlock) {
      const float d = load_half(in);
      const float m = kMin ? load_half(in + 2) : 0.0f;
      const uint32_t high = kHigh ? load<uint32_t>(in + kHigh) : 0u;
      int32_t q[kBlock];
      for (int i = 0; i < kBlock / 2; ++i) {
        const auto packed = static_cast<uint32_t>(in[kQuants + i]);
        q[i] = static_cast<int32_t>(packed & 15u);
        q[i + kBlock / 2] = static_cast<int32_t>(packed >> 4);
      }
      if constexpr (kHigh != 0)
        for (int i = 0; i < kBlock; ++i) q[i] |= static_cast<int32_t>(((high >> i) & 1u) << 4);
      for (int i = 0; i < kBlock; ++i) {
        const float product = d * static_cast<float>(q[i] - kOffset);
        out[i] = kMin ? product + m : product;
      }
    }
  }
};
using Q4_0 = SimpleNibbles<0, false, 8, 18>;
using Q4_1 = SimpleNibbles<0, true, 0, 20>;
using Q5_0 = SimpleNibbles<2, false, 16, 22>;
using Q5_1 = SimpleNibbles<4, true, 0, 24>;

// Eight 6-bit scales and eight 6-bit minima in 12 bytes: the first four of each whole in bytes 0..3 and 4..7,
// the others split between bytes 8..11 (low four bits) and the top two bits of bytes 0..7.
[[gnu::always_inline]] inline void unpack_scales(const std::byte* in, int sub, float* scale, float* minimum) {
  const auto at = [in](int i) { return static_cast<uint32_t>(in[i]); };
  if (sub < 4) {
    *scale = static_cast<float>(at(sub) & 63u);
    *minimum = static_cast<float>(at(sub + 4) & 63u);
  } else {
    *scale = static_cast<float>((at(sub + 4) & 15u) | ((at(sub - 4) >> 6) << 4));
    *minimum = static_cast<float>((at(sub + 4) >> 4) | ((at(sub) >> 6) << 4));
  }
}

// q4_k and q5_k: eight sub-blocks of 32; two neighbours share 32 bytes of nibbles. q5_k keeps the fifth bits
// of sub-block s in bit s of 32 bytes.
template <bool kFifthBit, int kBytes>
struct SuperNibbles {
  [[gnu::always_inline]] static void row(const std::byte* in, float* out, int64_t n) {
    constexpr int kScales = 4, kHigh = 16, kQuants = kBytes - kSuper / 2;
    for (int64_t b = 0; b < n / kSuper; ++b, in += kBytes) {
      const float d = load_half(in);
      const float dmin = load_half(in + 2);
      for (int sub = 0; sub < 8; ++sub, out += 32) {
        float scale, minimum;
        unpack_scales(in + kScales, sub, &scale, &minimum);
        const float ds = d * scale;
        const float dm = dmin * minimum;
        const std::byte* quants = in + kQuants + sub / 2 * 32;
        const int shift = sub % 2 * 4;
        for (int i = 0; i < 32; ++i) {
          uint32_t q = (static_cast<uint32_t>(quants[i]) >> shift) & 15u;
          if constexpr (kFifthBit) q |= ((static_cast<uint32_t>(in[kHigh + i]) >> sub) & 1u) << 4;
          out[i] = ds * static_cast<float>(static_cast<int32_t>(q)) - dm;
        }
      }
    }
  }
};
using Q4_K = SuperNibbles<false, 144>;
using Q5_K = SuperNibbles<true, 176>;

// q6_k: 128 bytes of low nibbles, 64 bytes of high pairs of bits, 16 signed scales (one for 16 elements), the
// scale. Half a super-block (128 elements) at a time: 64 bytes of nibbles, 32 bytes of pairs.
struct Q6_K {
  [[gnu::always_inline]] static void row(const std::byte* in, float* out, int64_t n) {
    for (int64_t b = 0; b < n / kSuper; ++b, in += 210) {
      const float d = load_half(in + 208);
      for (int half = 0; half < 2; ++half) {
        for (int quarter = 0; quarter < 4; ++quarter, out += 32) {
          const std::byte* low = in + half * 64 + quarter % 2 * 32;
          const std::byte* high = in + 128 + half * 32;
          const int low_shift = quarter / 2 * 4;
          const int high_shift = quarter * 2;
          for (int part = 0; part < 2; ++part) {
            const auto scale = static_cast<int8_t>(in[192 + half * 8 + quarter * 2 + part]);
            const float ds = d * static_cast<float>(scale);
            for (int i = part * 16; i < part * 16 + 16; ++i) {
              const uint32_t q = ((static_cast<uint32_t>(low[i]) >> low_shift) & 15u) |
                                 (((static_cast<uint32_t>(high[i]) >> high_shift) & 3u) << 4);
              out[i] = ds * static_cast<float>(static_cast<int32_t>(q) - 32);
            }
          }
        }
      }
    }
  }
};

template <typename Codec>
void baseline_row(const std::byte* in, float* out, int64_t n) {
  Codec::row(in, out, n);
}

#ifdef REPRISE_HAS_AVX2_CLONE
template <typename Codec>
__attribute__((target("avx2"))) void avx2_row(const std::byte* in, float* out, int64_t n) {
  Codec::row(in, out, n);
}
#endif

template <typename Codec>
void run(const std::byte* in, float* out, int64_t n) {
#ifdef REPRISE_HAS_AVX2_CLONE
  static const bool avx2 = __builtin_cpu_supports("avx2");
  if (avx2) return avx2_row<Codec>(in, out, n);
#endif
  baseline_row<Codec>(in, out, n);
}

#ifdef REPRISE_HAS_AVX2_CLONE
// Half to float in one instruction, four times as fast as the arithmetic above. It reads subnormal halves
// whatever the thread's flags say, and differs only in that it quiets signalling NaNs. The tail goes through
// the same instruction.
__attribute__((target("avx2,f16c"))) void f16c_row(const std::byte* in, float* out, int64_t n) {
  int64_t i = 0;
  for (; i + 8 <= n; i += 8)
    _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(in + 2 * i))));
  if (i == n) return;
  __m128i half = _mm_setzero_si128();
  std::memcpy(&half, in + 2 * i, static_cast<size_t>(n - i) * 2);
  const __m256 tail = _mm256_cvtph_ps(half);
  std::memcpy(out + i, &tail, static_cast<size_t>(n - i) * sizeof(float));
}
#endif

void f16_row(const std::byte* in, float* out, int64_t n) {
#ifdef REPRISE_HAS_AVX2_CLONE
  static const bool f16c = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c");
  if (f16c) return f16c_row(in, out, n);
#endif
  baseline_row<F16>(in, out, n);
}

using RowFunction = void (*)(const std::byte*, float*, int64_t);

RowFunction row_function(StoredType type) {
  switch (type) {
    case StoredType::f32:
      return [](const std::byte* in, float* out, int64_t n) {
        if (n > 0) std::memcpy(out, in, static_cast<size_t>(n) * sizeof(float));
      };
    case StoredType::f16:
      return f16_row;
    case StoredType::bf16:
      return run<Bf16>;
    case StoredType::q4_0:
      return run<Q4_0>;
    case StoredType::q4_1:
      return run<Q4_1>;
    case StoredType::q5_0:
      return run<Q5_0>;
    case StoredType::q5_1:
      return run<Q5_1>;
    case StoredType::q8_0:
      return run<Q8_0>;
    case StoredType::q4_k:
      return run<Q4_K>;
    case StoredType::q5_k:
      return run<Q5_K>;
    case StoredType::q6_k:
      return run<Q6_K>;
    default:
      return nullptr;
  }
}

}  // namespace

bool can_dequantize(StoredType type) {
  return row_function(type) != nullptr;
}

void dequantize_row(StoredType type, const std::byte* in, float* out, int64_t n) {
  const RowFunction function = row_function(type);
  REPRISE_CHECK(function, "no dequantisation of {}", traits_of(type).name);
  REPRISE_CHECK(n >= 0 && n % traits_of(type).block == 0, "{} elements are no whole blocks of {}", n,
                traits_of(type).name);
  function(in, out, n);
}

}  // namespace reprise::weights
