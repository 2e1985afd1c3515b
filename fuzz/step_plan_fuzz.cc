// Any bytes as a step's plan: an Error, or a plan that fits into the input buffers of its limits.
#include <cstdint>
#include <span>

#include "core/error.h"
#include "engine/step/plan_bytes.h"
#include "engine/step/sample_buffers.h"
#include "engine/step/step_inputs.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace reprise;
  using namespace reprise::engine;
  static constexpr PlanLimits kLimits{.step = {.tokens = 64, .seqs = 8, .rows = 16},
                                      .block_size = 16,
                                      .max_model_len = 128,
                                      .num_kv_blocks = 20,
                                      .vocab_size = 100};
  static const models::PagedKvView view{
      .layers = {}, .block_size = 16, .max_blocks_per_seq = 8, .max_model_len = 128};
  static StepInputs inputs(host_memory(), kLimits.step, view);
  static SampleBuffers samples(host_memory(), kLimits.step.rows, 4, kLimits.vocab_size);
  static const bool ready = (samples.allocate_history(kLimits.num_kv_blocks * kLimits.block_size), true);
  if (!ready) return 0;
  try {
    StepPlan plan;
    read_bytes(std::as_bytes(std::span(data, size)), kLimits, plan);
    inputs.fill(plan);
    samples.fill(plan);
    std::vector<std::byte> again;
    write_bytes(plan, again);
    if (again.size() != size) __builtin_trap();
  } catch (const Error&) {
  }
  return 0;
}
