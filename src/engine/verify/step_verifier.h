// --graph-verify: compares what a captured step computes with the model's own code, bit by bit.
//
// At start every capture runs on made-up steps (made_up_steps.h). Before it runs, the whole arena that it
// uses is filled with NaN, and after each launch the rows of padding of what the launch wrote; the null block
// holds NaN as well. So a value that leaks from padding, or from memory that nothing wrote in this step,
// shows in the logits. Its recording must come out the same when it is made again from other contents of the
// inputs, and each launch must wait for whoever shares bytes with it. While serving, one step in N is
// computed again, and its results are then those of the model's own code. A difference is traced to its first
// op and layer, node by node: the static graph against the model's code, then padded, replayed, and with NaN
// in arena and padding.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/kv/kv_store.h"
#include "engine/replay/graph_backend.h"
#include "engine/verify/made_up_steps.h"

namespace reprise::engine {

// Of --graph-verify sample=N.
struct VerifyStats {
  int64_t checked = 0;
  int64_t differing = 0;
  int64_t failed = 0;     // checks that ended with an exception; the step ran again by the model's own code
  std::string last = {};  // the last difference, or the last exception
};

// What memory and padding are filled with: every f32 and bf16 of such bytes is a NaN.
inline constexpr int kVerifyPoison = 0xff;

// What the verifier works on; all of it outlives the verifier.
struct VerifierParts {
  const models::Model& model;
  Stream& stream;
  StepLimits limits;
  StepInputs& inputs;
  SampleBuffers& samples;
  const KvStore& cache;
  int64_t kv_blocks;
  GraphBackend& backend;
  StepArena& eager_arena;  // holds a whole step of the model's own code
};

// step_verifier.cc compares a step and finds where it differs, capture_check.cc tries the captures at start,
// value_hashes.h knows the values of a step apart.
class StepVerifier {
 public:
  explicit StepVerifier(const VerifierParts& parts) : parts_(parts) {}

  // Every capture; one that differs is given up by the backend and named in the result, and so is one that
  // the two-capture diff has given up before. No request may hold KV blocks.
  std::vector<std::string> check_captures();

  // The step that `path` has just run, on the inputs that are still there. What differs, or nothing.
  std::optional<std::string> check_step(const StepPath& path, const StepShape& shape);

 private:
  void fill_history(const std::vector<MadeUp>& sequences);
  void fill_null_block(int byte);
  void spoil_slots();
  void fill_arena(const StepPath& path, const StepShape& shape, int byte);
  void run_poisoned(const StepPath& path, const StepShape& shape,
                    const std::function<void(graph::NodeId)>& after_node);
  models::ForwardOutput run_eagerly();
  std::vector<float> eager_logits();
  std::vector<std::byte> choices() const;
  std::optional<std::string> compare(const StepPath& path, const StepShape& shape, bool poisoned);
  MadeUpLimits made_up_limits() const;
  void fill_inputs(const std::vector<MadeUp>& sequences);
  void fill(const StepPlan& step);
  std::optional<std::string> check_capture(bool prefill, int64_t size, bool any_size, size_t index);
  std::optional<std::string> check_made_up(const StepPath& path, const StepShape& shape);
  std::optional<std::string> check_recording(const StepPath& path, const StepShape& shape);
  std::string localise(const StepPath& path, const StepShape& shape);

  VerifierParts parts_;
};

}  // namespace reprise::engine
