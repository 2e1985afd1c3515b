// The bodies of sampling_bodies.h at level avx2.
#define REPRISE_VEC_NAMESPACE sampling_avx2
#define REPRISE_VEC_LEVEL 1
#include "kernels/cpu/sampling_inl.h"

namespace reprise::kernels::cpu {

const SamplingBodies& sampling_bodies_avx2() {
  return sampling_avx2::kSamplingBodies;
}

}  // namespace reprise::kernels::cpu
