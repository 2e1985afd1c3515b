// The bodies of sampling_bodies.h at level avx512.
#define REPRISE_VEC_NAMESPACE sampling_avx512
#define REPRISE_VEC_LEVEL 2
#include "kernels/cpu/sampling_inl.h"

namespace reprise::kernels::cpu {

const SamplingBodies& sampling_bodies_avx512() {
  return sampling_avx512::kSamplingBodies;
}

}  // namespace reprise::kernels::cpu
