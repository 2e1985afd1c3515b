// cos and sin of a position are the same bits in every step, so they are computed once for all positions that
// a sequence may have and looked up afterwards. It needs angles that depend on the position alone (not
// dynamic NTK, which looks at the length), and positions that are known to be below max_model_len: those that
// paged attention takes.
#include <numeric>

#include "graph/passes/passes.h"
#include "ops/attention.h"
#include "ops/embedding.h"
#include "ops/rotary.h"

namespace reprise::graph {
namespace {

enum AnglesInput { kPositions, kLengths, kInvFreq };
constexpr size_t kDynamic = 3;             // attribute of rotary_angles
constexpr size_t kAttentionPositions = 5;  // input of paged_attention

std::vector<bool> below_max_model_len(const Graph& graph) {
  std::vector<bool> below(graph.values.size());
  for (const Node& node : graph.nodes)
    if (node.schema == &ops::kPagedAttention)
      below[static_cast<size_t>(node.inputs[kAttentionPositions])] = true;
  return below;
}

size_t table_bytes(const Graph& graph, const Node& angles, const PassContext& context) {
  const int64_t half = graph.value(angles.inputs[kInvFreq]).shape[0].constant;
  return angles.outputs.size() * static_cast<size_t>(context.max_model_len * half) * sizeof(float);
}

// The op itself makes the table, from all positions, so the bits are those of a step.
std::vector<Tensor> fold_table(const Graph& graph, const Node& angles, PassContext& context) {
  std::vector<int32_t> all(static_cast<size_t>(context.max_model_len));
  std::iota(all.begin(), all.end(), 0);
  const Shape shape{context.max_model_len};
  Graph table;
  const ValueId positions =
      add_value(table, {.name = "positions",
                        .kind = ValueKind::weight,
                        .dtype = DType::i32,
                        .shape = shape,
                        .tensor = context.folder->constant(DType::i32, shape, all.data())});
  const ValueId frequencies = add_value(table, graph.value(angles.inputs[kInvFreq]));
  Node node{.schema = angles.schema, .inputs = {positions, positions, frequencies}, .attrs = angles.attrs};
  for (const ValueId output : angles.outputs)
    node.outputs.push_back(
        add_value(table, {.dtype = DType::f32,
                          .shape = {context.max_model_len, graph.value(output).shape.back()},
                          .producer = 0}));
  table.nodes.push_back(node);
  return context.folder->fold(table, node);
}

}  // namespace

bool rotary_table(Graph& graph, PassContext& context) {
  if (context.folder == nullptr || context.max_model_len <= 0) return false;
  const std::vector<bool> bounded = below_max_model_len(graph);
  size_t left = context.max_table_bytes;
  std::vector<Node> nodes;
  nodes.reserve(graph.nodes.size() + 1);
  bool changed = false;
  for (Node& node : graph.nodes) {
    const bool fits = node.schema == &ops::kRotaryAngles && std::get<int64_t>(node.attrs[kDynamic]) == 0 &&
                      graph.value(node.inputs[kInvFreq]).kind == ValueKind::weight &&
                      bounded[static_cast<size_t>(node.inputs[kPositions])];
    const size_t bytes = fits ? table_bytes(graph, node, context) : 0;
    if (!fits || bytes > left) {
      nodes.push_back(std::move(node));
      continue;
    }
    left -= bytes;
    const std::vector<Tensor> tables = fold_table(graph, node, context);
    for (size_t k = 0; k < node.outputs.size(); ++k) {
      const ValueId rows = node.outputs[k];
      const ValueId table =
          add_value(graph, {.name = "table." + graph.value(rows).name,
                            .kind = ValueKind::weight,
                            .dtype = DType::f32,
                            .shape = {context.max_model_len, graph.value(rows).shape.back()},
                            .tensor = tables[k]});
      nodes.push_back({.schema = &ops::kGatherRows,
                       .inputs = {table, node.inputs[kPositions]},
                       .outputs = {rows},
                       .layer = node.layer,
                       .source = node.source});
    }
    changed = true;
  }
  graph.nodes = std::move(nodes);
  if (changed) compact(graph, std::vector<bool>(graph.nodes.size()));
  return changed;
}

}  // namespace reprise::graph
