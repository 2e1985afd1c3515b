// What a replay needs to know of its nodes (recorded launches), prepared once: pointers, dependencies, and
// which nodes wait for nothing but the node before them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "capture/recording.h"

namespace reprise::cpu {

struct ReplayNode {
  KernelFunction run;
  std::byte* const* buffers;
  const void* scalars;
  LaunchDims dims;
  uint32_t first_wait;  // into the plan's waits
  uint16_t wait_count;
  bool follows;  // waits for the node before it and nobody else
};

class ReplayPlan {
 public:
  // The recording outlives this and stays where it is. Throws Error where an argument has no address.
  ReplayPlan(const capture::Recording& recording, StepSizes largest);

  std::span<const ReplayNode> nodes() const { return nodes_; }
  std::span<const int32_t> waits_of(const ReplayNode& node) const {
    return std::span(waits_).subspan(node.first_wait, node.wait_count);
  }
  std::span<const int32_t> last_nodes() const { return last_nodes_; }  // for which nobody waits
  size_t bytes() const;

 private:
  void resolve_pointers(const capture::Recording& recording);

  std::vector<ReplayNode> nodes_;
  std::vector<std::byte*> pointers_;
  std::vector<int32_t> waits_, last_nodes_;
};

}  // namespace reprise::cpu
