// Hashes of every value of a step, by which --graph-verify finds the first op whose results differ: storage
// is used again within a step, so each value is hashed right behind the op that made it.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/verify/step_verifier.h"
#include "graph/executor.h"

namespace reprise::engine {

// What the model's own code computes, by value of the traced graph.
struct TracedHashes {
  std::vector<uint64_t> whole;
  std::vector<uint64_t> picked;  // the rows whose logits are read, of values that have a row a token
};

// Runs forward by the model's own code on the inputs that are uploaded. The values are those of the backend's
// traced graph.
TracedHashes traced_hashes(const VerifierParts& parts);

// Hashes of what each node of a graph makes. Of a state, only what has rows of the step: not the KV cache,
// which shows in what is read from it. Executor and stream outlive this.
class NodeHashes {
 public:
  // Rows of a step of these sizes count.
  NodeHashes(Stream& stream, const graph::Executor& executor, const StepSizes& sizes)
      : stream_(stream), executor_(executor), sizes_(sizes), by_value_(executor.graph().values.size(), 0) {}

  // Right behind the run of `node`.
  void take(graph::NodeId node);

  std::optional<graph::NodeId> first_not_as(const NodeHashes& other) const;
  // States are left out.
  std::optional<graph::NodeId> first_not_as(const TracedHashes& traced) const;

 private:
  template <typename Differs>
  std::optional<graph::NodeId> first(Differs&& differs) const;

  Stream& stream_;
  const graph::Executor& executor_;
  StepSizes sizes_;
  std::vector<uint64_t> by_value_;
};

}  // namespace reprise::engine
