// Made-up contents of everything that the host fills before a step, to find out whether the launches of a
// step depend on them: a capture would freeze such a launch.
#pragma once

#include "engine/step/sample_buffers.h"
#include "engine/step/step_inputs.h"
#include "engine/step/step_limits.h"

namespace reprise::engine {

// Fills every row of the inputs' host side up to `limits` and every row's plan; any two numbers `content`
// differ in all of them. Nothing may run on these contents: slots and blocks are not those of any sequence.
// Allocates nothing.
void fill_step(const StepInputs& inputs, SampleBuffers& samples, const StepLimits& limits, int64_t vocab_size,
               int content);

}  // namespace reprise::engine
