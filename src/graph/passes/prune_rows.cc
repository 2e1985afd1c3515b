// A step computes T rows but the head reads S of them, the last of each sequence; so whatever only feeds
// these (the last norm, the last layer's MLP and attention's output projection) is computed for S rows.
// Backwards it is found which rows of each value are read; forwards every row-wise node whose rows are all
// picked by the same index runs on the picked rows, and the gather moves from its output to its inputs. Rows
// don't depend on each other, so their bits stay.
#include <map>
#include <utility>

#include "graph/passes/passes.h"
#include "graph/passes/rewrite.h"
#include "ops/embedding.h"

namespace reprise::graph {
namespace {

// The rows of a value that are read: none yet, those that an index picks (its ValueId), or all.
constexpr ValueId kNobody = kNone;
constexpr ValueId kAll = -2;

class RowPruning {
 public:
  explicit RowPruning(Graph& graph)
      : graph_(graph),
        read_(graph.values.size(), kNobody),
        stands_for_(graph.values.size(), kNone),
        rows_of_node_(graph.nodes.size(), kAll) {
    rows_.reserve(graph.values.size());
    for (const Value& value : graph.values) rows_.push_back(value.shape.rank() == 2 ? value.shape[0] : Dim{});
  }

  bool run() {
    find_rows();
    bool changed = false;
    for (const ValueId rows : rows_of_node_) changed = changed || rows != kAll;
    if (changed) rebuild();
    return changed;
  }

 private:
  ValueId& read(ValueId value) { return read_[static_cast<size_t>(value)]; }
  const Dim& rows(ValueId value) const { return rows_[static_cast<size_t>(value)]; }
  bool pruned(ValueId value) const {
    const NodeId producer = graph_.value(value).producer;
    return producer != kNone && rows_of_node_[static_cast<size_t>(producer)] != kAll;
  }
  // Whether row r of the node's outputs needs row r of `input` alone.
  bool by_row(const Node& node, ValueId input) const { return rows(input) == rows(node.outputs[0]); }

  void join(ValueId value, ValueId index) {
    ValueId& known = read(value);
    known = known == kNobody || known == index ? index : kAll;
  }

  void find_rows() {
    for (const GraphOutput& output : graph_.outputs) read(output.value) = kAll;
    for (size_t i = graph_.nodes.size(); i-- > 0;) {
      const Node& node = graph_.nodes[i];
      if (node.schema == &ops::kGatherRows) {
        join(node.inputs[0], node.inputs[1]);
        join(node.inputs[1], kAll);
        continue;
      }
      const ValueId index = index_of_rows(static_cast<NodeId>(i));
      rows_of_node_[i] = index;
      for (const ValueId input : node.inputs)
        if (input != kNone) join(input, index != kAll && by_row(node, input) ? index : kAll);
    }
  }

  // What picks the rows of the node's outputs that are read, if the node may run on these alone.
  ValueId index_of_rows(NodeId id) {
    const Node& node = graph_.node(id);
    if (!node.schema->row_wise || has_effects(node)) return kAll;
    ValueId index = kNobody;
    for (const ValueId output : node.outputs) {
      if (rows(output).is_constant() || rows(output) != rows(node.outputs[0])) return kAll;
      if (read(output) == kNobody) continue;
      if (index != kNobody && index != read(output)) return kAll;
      index = read(output);
    }
    if (index == kNobody || index == kAll || graph_.value(index).producer >= id) return kAll;
    // A vector with one element a token can't be gathered.
    for (const ValueId input : node.inputs)
      if (input != kNone && graph_.value(input).shape.rank() == 1 &&
          graph_.value(input).shape[0] == rows(node.outputs[0]))
        return kAll;
    return index;
  }

  void rebuild() {
    std::vector<Node> nodes = std::move(graph_.nodes);
    graph_.nodes.clear();
    for (size_t i = 0; i < nodes.size(); ++i) {
      if (nodes[i].schema == &ops::kGatherRows)
        add_gather(std::move(nodes[i]));
      else
        add(std::move(nodes[i]), rows_of_node_[i]);
    }
    for (GraphOutput& output : graph_.outputs) output.value = current(output.value);
    compact(graph_, std::vector<bool>(graph_.nodes.size()));
  }

  // The value that is there instead of one of the graph as it was.
  ValueId current(ValueId value) const {
    const ValueId other = value == kNone ? kNone : stands_for_[static_cast<size_t>(value)];
    return other == kNone ? value : other;
  }

  void add_gather(Node node) {
    const ValueId from = node.inputs[0], to = node.outputs[0];
    if (pruned(from)) {  // it has these rows and no others
      stands_for_[static_cast<size_t>(to)] = from;
      graph_.value(from).traced = graph_.value(to).traced;
      return;
    }
    for (ValueId& input : node.inputs) input = current(input);
    picked_.emplace(std::pair(node.inputs[0], node.inputs[1]), to);
    graph_.nodes.push_back(std::move(node));
  }

  void add(Node node, ValueId index) {
    for (ValueId& input : node.inputs) {
      const bool whole = index == kAll || input == kNone || !by_row(node, input) || pruned(input);
      input = whole ? current(input) : picked(current(input), index, node);
    }
    if (index != kAll)
      for (const ValueId output : node.outputs) {
        Value& value = graph_.value(output);
        value.shape = {graph_.value(index).shape[0], value.shape[1]};
        value.rows_of = std::exchange(value.traced, kNone);
        value.picked_by = graph_.value(index).name;
      }
    graph_.nodes.push_back(std::move(node));
  }

  ValueId picked(ValueId from, ValueId index, const Node& for_node) {
    const auto [known, fresh] = picked_.emplace(std::pair(from, index), kNone);
    if (!fresh) return known->second;
    const Value& whole = graph_.value(from);
    const Shape shape{graph_.value(index).shape[0], whole.shape[1]};
    const ValueId rows = add_value(graph_, {.dtype = whole.dtype,
                                            .shape = shape,
                                            .rows_of = whole.traced,
                                            .picked_by = graph_.value(index).name});
    graph_.nodes.push_back({.schema = &ops::kGatherRows,
                            .inputs = {from, index},
                            .outputs = {rows},
                            .layer = for_node.layer,
                            .source = for_node.source});
    return known->second = rows;
  }

  Graph& graph_;
  std::vector<ValueId> read_;          // by ValueId
  std::vector<Dim> rows_;              // by ValueId: of a matrix in the graph as it was
  std::vector<ValueId> stands_for_;    // by ValueId of a gather's output: the pruned value
  std::vector<ValueId> rows_of_node_;  // by NodeId: the index of the rows that it computes, or kAll
  std::map<std::pair<ValueId, ValueId>, ValueId> picked_;  // {value, index}: its rows
};

}  // namespace

bool prune_rows(Graph& graph, PassContext&) {
  return RowPruning(graph).run();
}

}  // namespace reprise::graph
