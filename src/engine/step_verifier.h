// --graph-verify: compares what a captured step computes with the model's own code, bit by bit.
//
// At start every capture runs once on made-up sequences with its padding poisoned: padding rows of each
// intermediate, the arena and the null block hold NaN, so a value that leaks from there shows in the logits.
// Its recording must come out the same when it is made again from other contents of the inputs, and each
// launch must wait for whoever shares bytes with it. While serving, a step in N is computed again, and its
// results are then those of the model's own code. A difference is traced to its first op and layer, node by
// node: the static graph against the model's code, then padded, replayed, and with its padding poisoned.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/graph_backend.h"
#include "engine/kv_cache.h"

namespace reprise::engine {

// Of --graph-verify sample=N.
struct VerifyStats {
  int64_t checked = 0;
  int64_t differing = 0;
  int64_t failed = 0;     // checks that ended with an exception; the step ran again by the model's own code
  std::string last = {};  // the last difference, or the last exception
};

class StepVerifier {
 public:
  struct Parts {
    const models::Model& model;
    Stream& stream;
    StepLimits limits;
    StepInputs& inputs;
    SampleBuffers& samples;
    const KvCache& cache;
    int64_t kv_blocks;
    GraphBackend& backend;
    StepArena& eager_arena;  // holds a whole step of the model's own code
    std::byte* arena;        // backend.arena_bytes()
  };
  explicit StepVerifier(const Parts& parts) : parts_(parts) {}

  // Every capture; one that differs is given up by the backend and named in the result. No request may hold
  // KV blocks.
  std::vector<std::string> check_captures();

  // The step that `path` has just run, on the inputs that are still there. What differs, or nothing.
  std::optional<std::string> check_step(const StepPath& path, const StepShape& shape);

 private:
  // A sequence of made-up tokens whose last `step_tokens` the step under test computes.
  struct MadeUp {
    std::vector<int32_t> tokens;
    std::vector<BlockId> blocks;
    int64_t step_tokens;
  };
  std::vector<MadeUp> make_up(int64_t count, int64_t step_tokens) const;
  void fill_history(const std::vector<MadeUp>& sequences);
  void fill_null_block(int byte);
  template <typename AfterNode>
  void run_poisoned(CapturedStep& step, const StepSizes& captured, const StepSizes& real,
                    AfterNode&& after_node);
  models::ForwardOutput run_eagerly();
  std::vector<float> eager_logits();
  std::vector<std::byte> choices() const;
  std::optional<std::string> try_capture(bool prefill, int64_t size, bool any_size, size_t index);
  std::optional<std::string> check_capture(bool prefill, int64_t size, bool any_size, size_t index);
  std::optional<std::string> check_recording(const StepPath& path, const StepShape& shape);
  std::string localise(const StepPath& path, const StepShape& shape);

  Parts parts_;
};

}  // namespace reprise::engine
