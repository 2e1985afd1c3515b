// The bodies of sampling_bodies.h at level scalar.
#define REPRISE_VEC_NAMESPACE sampling_scalar
#define REPRISE_VEC_LEVEL 0
#include "kernels/cpu/sampling_inl.h"

namespace reprise::kernels::cpu {

const SamplingBodies& sampling_bodies_scalar() {
  return sampling_scalar::kSamplingBodies;
}

}  // namespace reprise::kernels::cpu
