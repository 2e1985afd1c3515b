// What a replay needs to know of its nodes (recorded launches), prepared once: pointers, dependencies, and
// which nodes wait for nothing but the node before them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "capture/recording.h"
#include "core/fault.h"
#include "core/launch.h"

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
  // Runs a node as a whole, and of one that is cut into shares some items.
  void run_whole(size_t node, KernelContext& context) const {
    if (const int64_t items = items_of(node, context.sizes); items > 0) run_items(node, context, 0, items);
  }
  void run_items(size_t node, KernelContext& context, int64_t begin, int64_t end) const {
    const ReplayNode& of = nodes_[node];
    context.buffers = of.buffers;
    context.scalars = of.scalars;
    of.run(context, begin, end);
  }
  int64_t items_of(size_t node, StepSizes sizes) const {
    const int64_t items = nodes_[node].dims.work_items(sizes);
    return fault_is_on(Fault::replay_loses_last_item, static_cast<int64_t>(node)) ? items - 1 : items;
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
