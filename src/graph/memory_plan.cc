#include "graph/memory_plan.h"

#include <fmt/core.h>

#include <algorithm>
#include <numeric>

#include "core/fault.h"

namespace reprise::graph {
namespace {

constexpr size_t kAlignment = 64;
// Offsets that differ by a multiple of 4 KiB share cache sets; an odd number of lines behind each placement
// spreads the buffers of a small step over the sets (StepArena does the same).
constexpr size_t kStagger = 7 * kAlignment;

size_t bytes_of(const Value& value, StepSizes sizes) {
  return static_cast<size_t>(value.shape.elements().eval(sizes)) * size_of(value.dtype);
}

size_t reserved(size_t bytes) {
  return bytes == 0 ? 0 : (bytes + kAlignment - 1) / kAlignment * kAlignment + kStagger;
}

bool live_together(const Placement& a, const Placement& b) {
  return a.first <= b.last && b.first <= a.last;
}

// Who needs storage, how much, and how long.
void collect(const Graph& graph, MemoryPlan& plan) {
  const Uses uses = uses_of(graph);
  plan.placement_of.assign(graph.values.size(), kNone);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    const int computed = computed_outputs(node);
    for (int k = 0; k < computed; ++k) {
      const ValueId id = node.outputs[static_cast<size_t>(k)];
      int32_t& place = plan.placement_of[static_cast<size_t>(id)];
      const int8_t shared = node.shares[static_cast<size_t>(k)];
      if (shared != kNone) {
        place = plan.placement_of[static_cast<size_t>(node.inputs[static_cast<size_t>(shared)])];
      } else {
        place = static_cast<int32_t>(plan.placements.size());
        size_t bytes = bytes_of(graph.value(id), plan.largest);
        if (fault_is_on(Fault::plan_sizes_for_one_token)) bytes = bytes_of(graph.value(id), {1, 1});
        plan.placements.push_back({.bytes = reserved(bytes),
                                   .first = static_cast<NodeId>(i),
                                   .last = static_cast<NodeId>(i),
                                   .value = id});
      }
      Placement& placement = plan.placements[static_cast<size_t>(place)];
      const auto& readers = uses.nodes[static_cast<size_t>(id)];
      if (!readers.empty())
        placement.last = std::max(
            placement.last, fault_is_on(Fault::plan_ends_at_first_use) ? readers.front() : readers.back());
      if (uses.returned[static_cast<size_t>(id)]) placement.last = static_cast<NodeId>(graph.nodes.size());
    }
  }
}

// The lowest of the tightest gaps that hold it, between what lives at the same time. `placed` is sorted by
// offset.
size_t best_offset(const Placement& wanted, const std::vector<const Placement*>& placed) {
  size_t best = 0;
  size_t best_gap = SIZE_MAX;
  size_t end = 0;  // of what lives at the same time so far
  for (const Placement* other : placed) {
    if (!live_together(wanted, *other)) continue;
    if (other->offset >= end + wanted.bytes && other->offset - end < best_gap) {
      best_gap = other->offset - end;
      best = end;
    }
    end = std::max(end, other->offset + other->bytes);
  }
  return best_gap == SIZE_MAX ? end : best;
}

std::string describe(const Graph& graph, const Placement& placement) {
  const std::string who =
      placement.value == kNone ? "the workspace of a node" : "%" + graph.value(placement.value).name;
  return fmt::format("{} (bytes {} to {}, nodes {} to {})", who, placement.offset,
                     placement.offset + placement.bytes, placement.first, placement.last);
}

}  // namespace

MemoryPlan plan_memory(const Graph& graph, StepSizes largest, const std::vector<Workspace>& workspaces) {
  MemoryPlan plan{.largest = largest, .bytes = 0, .placements = {}, .placement_of = {}};
  collect(graph, plan);
  for (const Workspace& workspace : workspaces)
    plan.placements.push_back(
        {.bytes = reserved(workspace.bytes), .first = workspace.node, .last = workspace.node});

  std::vector<Placement*> order;
  order.reserve(plan.placements.size());
  for (Placement& placement : plan.placements) order.push_back(&placement);
  std::stable_sort(order.begin(), order.end(),
                   [](const Placement* a, const Placement* b) { return a->bytes > b->bytes; });
  std::vector<const Placement*> placed;
  placed.reserve(order.size());
  for (Placement* placement : order) {
    placement->offset = best_offset(*placement, placed);
    plan.bytes = std::max(plan.bytes, placement->offset + placement->bytes);
    placed.insert(
        std::upper_bound(placed.begin(), placed.end(), placement,
                         [](const Placement* a, const Placement* b) { return a->offset < b->offset; }),
        placement);
  }
  return plan;
}

size_t live_bytes(const MemoryPlan& plan) {
  NodeId nodes = 0;
  for (const Placement& placement : plan.placements) nodes = std::max(nodes, placement.last + 1);
  std::vector<int64_t> change(static_cast<size_t>(nodes) + 1);
  for (const Placement& placement : plan.placements) {
    change[static_cast<size_t>(placement.first)] += static_cast<int64_t>(placement.bytes);
    change[static_cast<size_t>(placement.last) + 1] -= static_cast<int64_t>(placement.bytes);
  }
  std::partial_sum(change.begin(), change.end(), change.begin());
  return static_cast<size_t>(*std::max_element(change.begin(), change.end()));
}

std::vector<std::string> problems_of(const MemoryPlan& plan, const Graph& graph) {
  std::vector<std::string> problems;
  if (plan.placement_of.size() != graph.values.size())
    return {
        fmt::format("a plan of {} values for a graph of {}", plan.placement_of.size(), graph.values.size())};
  const auto place_of = [&](ValueId value) {
    const int32_t place = plan.placement_of[static_cast<size_t>(value)];
    return place >= 0 && static_cast<size_t>(place) < plan.placements.size()
               ? &plan.placements[static_cast<size_t>(place)]
               : nullptr;
  };
  for (size_t i = 0; i < graph.nodes.size(); ++i)
    for (size_t k = 0; k < graph.nodes[i].outputs.size(); ++k) {
      const Node& node = graph.nodes[i];
      const ValueId id = node.outputs[k];
      const Value& value = graph.value(id);
      const Placement* place = place_of(id);
      if (value.previous != kNone) {
        if (place != nullptr)
          problems.push_back(fmt::format("%{} is state and lies in the arena", value.name));
        continue;
      }
      if (place == nullptr) {
        problems.push_back(fmt::format("%{} has no storage", value.name));
        continue;
      }
      if (place->bytes < bytes_of(value, plan.largest))
        problems.push_back(fmt::format("{} holds %{}, which takes {} bytes", describe(graph, *place),
                                       value.name, bytes_of(value, plan.largest)));
      if (place->first > value.producer || place->last < value.producer)
        problems.push_back(fmt::format("{} holds %{}, which node {} defines", describe(graph, *place),
                                       value.name, value.producer));
      const int8_t shared = k < node.shares.size() ? node.shares[k] : int8_t{kNone};
      const ValueId owner = shared == kNone ? id : node.inputs[static_cast<size_t>(shared)];
      if (shared == kNone ? place->value != id : place != place_of(owner))
        problems.push_back(fmt::format("%{} lies in the place of another value", value.name));
    }
  for (size_t i = 0; i < graph.nodes.size(); ++i)
    for (const ValueId input : graph.nodes[i].inputs)
      if (input != kNone)
        if (const Placement* place = place_of(input);
            place != nullptr && place->last < static_cast<NodeId>(i))
          problems.push_back(fmt::format("{} is gone when node {} reads %{}", describe(graph, *place), i,
                                         graph.value(input).name));
  for (const GraphOutput& output : graph.outputs)
    if (const Placement* place = place_of(output.value);
        place != nullptr && place->last < static_cast<NodeId>(graph.nodes.size()))
      problems.push_back(fmt::format("{} is gone when the graph returns it", describe(graph, *place)));
  for (size_t a = 0; a < plan.placements.size(); ++a) {
    const Placement& one = plan.placements[a];
    if (one.offset % kAlignment != 0)
      problems.push_back(fmt::format("{} is not aligned to {} bytes", describe(graph, one), kAlignment));
    if (one.offset + one.bytes > plan.bytes)
      problems.push_back(
          fmt::format("{} ends beyond the arena's {} bytes", describe(graph, one), plan.bytes));
    for (size_t b = a + 1; b < plan.placements.size(); ++b) {
      const Placement& other = plan.placements[b];
      if (one.first <= other.last && other.first <= one.last && one.offset < other.offset + other.bytes &&
          other.offset < one.offset + one.bytes)
        problems.push_back(fmt::format("{} and {} overlap", describe(graph, one), describe(graph, other)));
    }
  }
  return problems;
}

}  // namespace reprise::graph
