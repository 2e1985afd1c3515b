#include "codegen/matmul_program.h"

#include <algorithm>
#include <iterator>
#include <ranges>
#include <utility>
#include <vector>

#include "codegen/group_program.h"
#include "core/error.h"
#include "kernels/cpu/pack.h"
#include "ops/matmul.h"

namespace reprise::codegen {
namespace {

using graph::FusionGroup;
using graph::Graph;
using graph::Node;
using graph::NodeId;
using graph::ValueId;

// Larger weights are read from memory, which sets the pace: there is nothing to gain then.
constexpr size_t kMostWeightBytes = size_t{4} << 20;

// What comes before the product is computed by each worker for itself: it takes at most this part of the product, whose
// operations of an element of a row are as many as there are columns.
constexpr int64_t kLeastShare = 16;

template <typename List, typename Item>
bool contains(const List& list, const Item& item) {
  return std::ranges::find(list, item) != list.end();
}

bool is_matmul(const Node& node) {
  return node.schema == &ops::kMatmul || node.schema == &ops::kMatmulGroup;
}

// The group's nodes by where they stand.
struct Parts {
  NodeId matmul = graph::kNone;
  FusionGroup before = {}, after = {};  // without nodes: nothing stands there
  std::string why = {};                 // there is no program; the rest is not complete then
};

// Inputs of a part: what its nodes read from outside of it, behind those that it has.
void add_inputs(const Graph& graph, FusionGroup& part) {
  std::vector<ValueId> inside;
  for (const NodeId id : part.nodes) {
    for (const ValueId input : graph.node(id).inputs)
      if (input != graph::kNone && !contains(inside, input) && !contains(part.inputs, input))
        part.inputs.push_back(input);
    std::ranges::copy(graph.node(id).outputs, std::back_inserter(inside));
  }
}

std::string why_not_weights(const Graph& graph, const Node& matmul) {
  const graph::Value& x = graph.value(matmul.inputs[0]);
  if ((x.dtype != DType::f32 && x.dtype != DType::bf16) || x.shape.rank() != 2 || !x.shape[1].is_constant() ||
      x.shape[1].constant > loop::Matmul::kMostK)
    return fmt::format("a matmul of {}", to_string(x.shape));
  size_t bytes = 0;
  for (size_t i = 1; i < matmul.inputs.size(); i += 2) {
    if (matmul.inputs[i] == graph::kNone) continue;
    const graph::Value& weight = graph.value(matmul.inputs[i]);
    if (weight.packing != kernels::cpu::packing_of(x.dtype)) return "a matmul of weights of another form";
    bytes += packed_size(weight.packing, weight.shape).bytes();
  }
  if (bytes > kMostWeightBytes)
    return fmt::format("weights of {:.1f} MiB, whose way from memory sets the pace",
                       static_cast<double>(bytes) / 0x1p20);
  return {};
}

// Operations of an element, about.
int64_t cost_of(const loop::Program& program) {
  int64_t cost = 0;
  for (const loop::Section& section : program.sections)
    for (int32_t i = section.begin; section.lanes && i < section.end; ++i) {
      const loop::Code code = program.instructions[static_cast<size_t>(i)].code;
      const bool is_function = code == loop::Code::exp || code == loop::Code::erf || code == loop::Code::tanh;
      const bool is_slow = code == loop::Code::divide || code == loop::Code::sqrt;
      const bool is_free =
          code == loop::Code::constant || code == loop::Code::load || code == loop::Code::store;
      cost += is_function ? 16 : is_slow ? 4 : is_free ? 0 : 1;
    }
  return cost;
}

std::string why_not_before(const Graph& graph, const Parts& parts) {
  const ValueId x = graph.node(parts.matmul).inputs[0];
  if (!contains(parts.before.nodes, graph.value(x).producer)) return "the matmul reads other rows";
  if (parts.before.outputs.size() > loop::Matmul::kMostWritten) return "too many results before the matmul";
  if (std::string why = why_not_rows(graph, parts.before); !why.empty()) return why;
  int64_t n = 0;
  for (const ValueId result : graph.node(parts.matmul).outputs) n += graph.value(result).shape[1].constant;
  try {
    if (cost_of(program_of(graph, parts.before)) * kLeastShare <= n) return {};
  } catch (const Error&) {  // too many operations for a program
  }
  return "it takes long beside the product, and each worker would compute it";
}

std::string why_not_after(const Graph& graph, const Parts& parts) {
  const std::vector<ValueId>& results = graph.node(parts.matmul).outputs;
  const Shape& shape = graph.value(results[0]).shape;
  for (const ValueId result : results)
    if (graph.value(result).shape != shape)
      return fmt::format("results of {} beside {}", to_string(graph.value(result).shape), to_string(shape));
  for (const NodeId id : parts.after.nodes)
    if (graph.node(id).schema->kind != ops::OpKind::elementwise)
      return fmt::format("{} needs whole rows, of which each worker has a part", graph.node(id).schema->name);
  if (std::string why = why_not_rows(graph, parts.after); !why.empty()) return why;
  if (group_columns(graph, parts.after) != shape[1].constant)
    return fmt::format("rows of {} columns beside {}", group_columns(graph, parts.after), to_string(shape));
  return {};
}

bool reads_any(const Node& node, const std::vector<ValueId>& values) {
  return std::ranges::any_of(node.inputs, [&](ValueId input) { return contains(values, input); });
}

// Behind stands what reads the results, and what is needed there alone.
void place_others(const Graph& graph, const FusionGroup& group, Parts& parts) {
  std::vector<ValueId> behind = graph.node(parts.matmul).outputs;
  std::vector<ValueId> multiplied = {graph.node(parts.matmul).inputs[0]};
  std::vector<NodeId> after;
  for (const NodeId id : group.nodes)
    if (id != parts.matmul && reads_any(graph.node(id), behind)) {
      after.push_back(id);
      std::ranges::copy(graph.node(id).outputs, std::back_inserter(behind));
    }
  std::vector<ValueId> read_behind;
  const auto note = [&](NodeId id, std::vector<ValueId>& values) {
    std::ranges::copy(graph.node(id).inputs, std::back_inserter(values));
  };
  for (const NodeId id : after) note(id, read_behind);
  for (const NodeId id : group.nodes | std::views::reverse) {
    if (id == parts.matmul || contains(after, id)) continue;
    const auto made_for = [&](const std::vector<ValueId>& values) {
      return std::ranges::any_of(graph.node(id).outputs,
                                 [&](ValueId output) { return contains(values, output); });
    };
    if (made_for(multiplied)) {
      note(id, multiplied);
    } else if (made_for(read_behind)) {
      note(id, read_behind);
      after.push_back(id);
    }
  }
  for (const NodeId id : group.nodes)
    if (id != parts.matmul) (contains(after, id) ? parts.after : parts.before).nodes.push_back(id);
}

Parts parts_of(const Graph& graph, const FusionGroup& group) {
  Parts parts;
  if (const size_t buffers = group.inputs.size() + group.outputs.size(); buffers > loop::kMaxBuffers)
    return {.why = fmt::format("{} buffers are more than the {} of a launch", buffers, loop::kMaxBuffers)};
  for (const NodeId id : group.nodes) {
    if (!is_matmul(graph.node(id))) continue;
    if (parts.matmul != graph::kNone) return {.why = "two matmuls"};
    parts.matmul = id;
  }
  place_others(graph, group, parts);
  std::vector<ValueId> made_before;
  for (const NodeId id : parts.before.nodes)
    std::ranges::copy(graph.node(id).outputs, std::back_inserter(made_before));
  for (const NodeId id : parts.after.nodes)
    if (reads_any(graph.node(id), made_before))
      return {.why = "what comes before the matmul is gone behind it"};
  const Node& matmul = graph.node(parts.matmul);
  for (const ValueId output : group.outputs)
    (contains(made_before, output) ? parts.before : parts.after).outputs.push_back(output);
  if (parts.why = why_not_weights(graph, matmul); !parts.why.empty()) return parts;
  if (!parts.before.nodes.empty()) {
    add_inputs(graph, parts.before);
    parts.before.outputs.push_back(matmul.inputs[0]);  // the product reads it
    if (parts.why = why_not_before(graph, parts); !parts.why.empty()) return parts;
  }
  if (!parts.after.nodes.empty()) {
    parts.after.inputs = matmul.outputs;
    add_inputs(graph, parts.after);
    parts.why = why_not_after(graph, parts);
  } else if (!std::ranges::all_of(matmul.outputs,
                                  [&](ValueId out) { return contains(group.outputs, out); })) {
    parts.why = "a result that nobody reads";
  }
  return parts;
}

}  // namespace

bool has_matmul(const Graph& graph, const FusionGroup& group) {
  return std::ranges::any_of(group.nodes, [&](NodeId id) { return is_matmul(graph.node(id)); });
}

std::string why_not_matmul(const Graph& graph, const FusionGroup& group) {
  return parts_of(graph, group).why;
}

loop::Matmul matmul_of(const Graph& graph, const FusionGroup& group) {
  const Parts parts = parts_of(graph, group);
  REPRISE_CHECK(parts.why.empty(), "no program of a matmul: {}", parts.why);
  const Node& node = graph.node(parts.matmul);
  const graph::Value& x = graph.value(node.inputs[0]);
  const auto place_in = [](const std::vector<ValueId>& list, ValueId value) {
    return static_cast<int>(std::ranges::find(list, value) - list.begin());
  };
  const auto input = [&](ValueId value) {
    return value == graph::kNone ? -1 : place_in(group.inputs, value);
  };
  const auto output = [&](ValueId value) {
    return static_cast<int>(group.inputs.size()) + place_in(group.outputs, value);
  };
  loop::Matmul made{.name = name_of_group(graph, group),
                    .dtype = x.dtype,
                    .out = graph.value(node.outputs[0]).dtype,
                    .k = x.shape[1].constant,
                    .buffer_count = static_cast<int>(group.inputs.size() + group.outputs.size())};
  const bool has_after = !parts.after.nodes.empty();
  for (size_t i = 0; i < node.outputs.size(); ++i)
    made.segments.push_back({.n = graph.value(node.outputs[i]).shape[1].constant,
                             .weight = input(node.inputs[1 + 2 * i]),
                             .bias = 2 + 2 * i < node.inputs.size() ? input(node.inputs[2 + 2 * i]) : -1,
                             .out = has_after ? -1 : output(node.outputs[i])});
  const auto add_part = [&](const FusionGroup& of, std::optional<loop::Matmul::Part>& to) {
    to.emplace();
    to->program = program_of(graph, of);
    for (const ValueId value : of.inputs)
      to->buffers.push_back(contains(node.outputs, value) ? -1 - place_in(node.outputs, value)
                                                          : input(value));
    for (const ValueId value : of.outputs) to->buffers.push_back(output(value));
  };
  if (parts.before.nodes.empty()) {
    made.x = input(node.inputs[0]);
  } else {
    add_part(parts.before, made.before);
    made.before->buffers.back() = -1;
  }
  if (has_after) add_part(parts.after, made.after);
  loop::verify(made);
  return made;
}

}  // namespace reprise::codegen
