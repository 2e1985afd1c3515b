// What depends on what in a recording, from the declared reads and writes alone: a launch depends on the last
// writers of what it touches and, where it writes, on the readers since. Arguments touch each other where
// their byte ranges overlap at the largest sizes, so storage that the arena used again is a dependency like
// any other.
#pragma once

#include <cstdint>
#include <vector>

#include "capture/recording.h"

namespace reprise::capture {

// By launch: launches that must be done before it starts, ascending; those implied by another are left out.
std::vector<std::vector<int32_t>> dependencies_of(const Recording& recording, StepSizes largest);

}  // namespace reprise::capture
