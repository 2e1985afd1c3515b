// Checks that a replay waits where it must: a second implementation, independent of dependencies.h and
// without its shortcuts, because a missing wait makes results wrong only now and then.
#pragma once

#include <cstddef>
#include <optional>

#include "capture/executable.h"

namespace reprise::capture {

// Two launches that touch the same bytes, one of them writing.
struct MissingWait {
  size_t earlier, later;  // the later may start before the earlier is done
  size_t buffer;          // of the later
};

// The first, comparing byte ranges at `largest` pair by pair; nothing where the replay is sound.
std::optional<MissingWait> first_missing_wait(const Executable& replay, StepSizes largest);

}  // namespace reprise::capture
