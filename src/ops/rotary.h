// Rotary position embedding in two steps: the angles of the step's tokens once, then their application to q
// and k of every layer.
#pragma once

#include "ops/op.h"

namespace reprise::ops {

// Which elements of a head turn together: (i, i + rot_dim / 2) as Llama has it, or (2i, 2i + 1) as ERNIE 4.5.
enum class RotaryStyle : int64_t { half = 0, interleaved = 1 };

// What the angles depend on; see models/layers/rope.h for how a config becomes this.
struct RotaryParams {
  int64_t rot_dim = 0;             // elements of a head that turn, even
  double attention_scaling = 1.0;  // factor on cos and sin (yarn)
  // Dynamic NTK scaling: above `original_max` positions the base grows with the length of the sequence.
  bool dynamic = false;
  double base = 10000.0;
  double factor = 1.0;
  int64_t original_max = 0;
  DType rounded_to = DType::f32;  // cos and sin are rounded to this dtype, then kept as f32
};

struct RotaryAngles {
  Tensor cos;  // [T, rot_dim / 2] f32
  Tensor sin;  // [T, rot_dim / 2] f32
};

// positions and rope_lengths i32 [T], inv_freq f32 [rot_dim / 2].
RotaryAngles rotary_angles(const Tensor& positions, const Tensor& rope_lengths, const Tensor& inv_freq,
                           const RotaryParams& params, Where where = Where::current());

// x [T, heads * head_dim] -> same; the first rot_dim elements of each head turn. `round_products`: the two
// products are rounded to the activations' dtype before they are added (families that rotate in bf16), or
// only the sum is.
Tensor rotary(const Tensor& x, const RotaryAngles& angles, int64_t head_dim, RotaryStyle style,
              bool round_products, Where where = Where::current());

extern const OpSchema kRotaryAngles;
extern const OpSchema kRotary;

}  // namespace reprise::ops
