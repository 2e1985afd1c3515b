// How fast this machine reads memory: the floor under the time of a decode step, which must read all weights.
#pragma once

#include <cstddef>

#include "core/thread_team.h"

namespace reprise::cpu {

// Best of `passes` passes in which the whole team reads `bytes` (rounded to whole MiB, at least 1) once, in
// GB/s (1e9 bytes). The default is far above any cache that the team may own. Throws Error when the memory
// isn't there.
double read_bandwidth(ThreadTeam& team, size_t bytes = size_t{512} << 20, int passes = 5);

}  // namespace reprise::cpu
