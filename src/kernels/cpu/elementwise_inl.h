// Implementation of the kernels that elementwise.h declares (buffers, items and scalars are listed there).
// Compiled once for each level of the ISA.
#pragma once

#include "kernels/cpu/elementwise.h"
#include "kernels/cpu/math_inl.h"

namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE {

struct Add {
  REPRISE_VEC_INLINE Vec apply(Vec a, Vec b) { return a + b; }
};
struct Mul {
  REPRISE_VEC_INLINE Vec apply(Vec a, Vec b) { return a * b; }
};
struct Silu {
  REPRISE_VEC_INLINE Vec apply(Vec x) { return loop::functions::silu(x); }
};
struct Gelu {
  REPRISE_VEC_INLINE Vec apply(Vec x) { return loop::functions::gelu(x); }
};
struct GeluTanh {
  REPRISE_VEC_INLINE Vec apply(Vec x) { return loop::functions::gelu_tanh(x); }
};

template <typename E, typename Op>
void binary(const KernelContext& context, int64_t begin, int64_t end) {
  const E* a = context.buffer<E>(0);
  const E* b = context.buffer<E>(1);
  E* y = context.buffer<E>(2);
  for (int64_t i = begin; i < end; i += kLanes)
    store_upto(y + i, Op::apply(load_upto(a + i, end - i), load_upto(b + i, end - i)), end - i);
}

template <typename E, typename Op>
void unary(const KernelContext& context, int64_t begin, int64_t end) {
  const E* x = context.buffer<E>(0);
  E* y = context.buffer<E>(1);
  for (int64_t i = begin; i < end; i += kLanes)
    store_upto(y + i, Op::apply(load_upto(x + i, end - i)), end - i);
}

template <typename E>
void scale(const KernelContext& context, int64_t begin, int64_t end) {
  const Vec factor = set1(context.get_scalars<ScaleScalars>().factor);
  const E* x = context.buffer<E>(0);
  E* y = context.buffer<E>(1);
  for (int64_t i = begin; i < end; i += kLanes)
    store_upto(y + i, load_upto(x + i, end - i) * factor, end - i);
}

template <typename E, typename Op>
void gated(const KernelContext& context, int64_t begin, int64_t end) {
  const auto& scalars = context.get_scalars<GateScalars>();
  for (int64_t i = begin; i < end;) {
    const int64_t row = i / scalars.columns, column = i % scalars.columns;
    const int64_t count = scalars.columns - column < end - i ? scalars.columns - column : end - i;
    const E* gate = context.buffer<E>(0) + row * scalars.gate_stride + column;
    const E* up = context.buffer<E>(1) + row * scalars.up_stride + column;
    E* y = context.buffer<E>(2) + row * scalars.y_stride + column;
    for (int64_t j = 0; j < count; j += kLanes) {
      const Vec activated = round_to<E>(Op::apply(load_upto(gate + j, count - j)));
      store_upto(y + j, activated * load_upto(up + j, count - j), count - j);
    }
    i += count;
  }
}

}  // namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE
