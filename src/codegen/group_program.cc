#include "codegen/group_program.h"

#include <algorithm>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/error.h"
#include "loop/builder.h"
#include "ops/loop_body.h"

namespace reprise::codegen {
namespace {

// What one node asks of the rows.
struct Rows {
  int64_t columns = 0;       // 0: it is no function over rows
  bool any_columns = false;  // its elements stand alone, so rows may be cut anywhere
  Shape shape;               // of its inputs and outputs
};

Rows rows_of(const graph::Graph& graph, const graph::Node& node) {
  Rows rows;
  graph::with_call(graph, node, [&](const ops::OpCall& call) {
    rows.columns = ops::body_columns(call);
    if (rows.columns == 0) return;
    rows.shape = call.input(0).shape;
    rows.any_columns = node.schema->kind == ops::OpKind::elementwise;
    for (int i = 0; i < call.input_count; ++i)
      rows.any_columns = rows.any_columns && !(call.has(i) && ops::is_per_column(call.input(i).shape));
  });
  return rows;
}

// Columns of the group's rows, or why there are none.
struct GroupRows {
  int64_t columns = 0;
  std::string why = {};
};

GroupRows rows_of_group(const graph::Graph& graph, const graph::FusionGroup& group) {
  const size_t buffers = group.inputs.size() + group.outputs.size();
  if (buffers > static_cast<size_t>(loop::kMaxBuffers))
    return {.why = fmt::format("{} buffers are more than the {} of a launch", buffers, loop::kMaxBuffers)};
  Rows all;
  for (const graph::NodeId id : group.nodes) {
    const graph::Node& node = graph.node(id);
    const Rows rows = rows_of(graph, node);
    if (rows.columns == 0 || node.outputs.size() != static_cast<size_t>(graph::computed_outputs(node)))
      return {.why = fmt::format("{} is no function over rows", node.schema->name)};
    if (all.columns == 0) {
      all = rows;
      continue;
    }
    if (rows.shape != all.shape)
      return {.why = fmt::format("rows of {} beside {}", to_string(rows.shape), to_string(all.shape))};
    if (!rows.any_columns) {
      if (!all.any_columns && rows.columns != all.columns)
        return {.why = fmt::format("rows of {} columns beside {}", rows.columns, all.columns)};
      all = rows;
    }
  }
  return {.columns = all.columns};
}

}  // namespace

std::string name_of_group(const graph::Graph& graph, const graph::FusionGroup& group) {
  constexpr size_t kMostCharacters = 48;
  std::string name;
  for (const graph::NodeId id : group.nodes) {
    for (const char c : graph.node(id).schema->name)
      name += (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ? c : '_';
    if (name.size() >= kMostCharacters) break;
    name += '.';
  }
  name.resize(std::min(name.size() - (name.ends_with('.') ? 1 : 0), kMostCharacters));
  return name;
}

int64_t group_columns(const graph::Graph& graph, const graph::FusionGroup& group) {
  return rows_of_group(graph, group).columns;
}

std::string why_not_rows(const graph::Graph& graph, const graph::FusionGroup& group) {
  return rows_of_group(graph, group).why;
}

loop::Program program_of(const graph::Graph& graph, const graph::FusionGroup& group) {
  loop::Builder builder(name_of_group(graph, group), group_columns(graph, group));
  std::unordered_map<graph::ValueId, loop::Value> values;
  for (size_t i = 0; i < group.inputs.size(); ++i) {
    const graph::Value& value = graph.value(group.inputs[i]);
    values[group.inputs[i]] =
        builder.read("in" + std::to_string(i), value.dtype,
                     ops::is_per_column(value.shape) ? loop::Place::column : loop::Place::row);
  }
  for (const graph::NodeId id : group.nodes) {
    const graph::Node& node = graph.node(id);
    std::vector<loop::Value> inputs;
    for (const graph::ValueId input : node.inputs)
      inputs.push_back(input == graph::kNone ? loop::Value{} : values.at(input));
    std::vector<loop::Value> outputs(node.outputs.size());
    graph::with_call(graph, node, [&](const ops::OpCall& call) { ops::write_body(call, inputs, outputs); });
    for (size_t i = 0; i < outputs.size(); ++i) values[node.outputs[i]] = outputs[i];
  }
  for (size_t i = 0; i < group.outputs.size(); ++i)
    builder.write("out" + std::to_string(i), graph.value(group.outputs[i]).dtype,
                  values.at(group.outputs[i]));
  return builder.finish();
}

}  // namespace reprise::codegen
