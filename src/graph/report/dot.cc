#include <fmt/format.h>

#include <iterator>
#include <vector>

#include "graph/report/colours.h"
#include "graph/report/report.h"
#include "graph/text.h"

namespace reprise::graph {
namespace {

// Inside double quotes.
std::string quoted(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '"' || c == '\\')
      (out += '\\') += c;
    else if (c == '\n')
      out += "\\n";
    else if (static_cast<unsigned char>(c) >= 0x20)
      out += c;
  }
  return out;
}

}  // namespace

// Nodes stand in boxes by layer; inputs and state are ellipses, weights are left out. Marked nodes have a
// thick border.
std::string to_dot(const Report& report) {
  const Graph& graph = *report.graph;
  std::string out = fmt::format(
      "digraph \"{}\" {{\n  rankdir = TB;\n  node [shape = box, style = filled, fontname = "
      "\"sans-serif\"];\n",
      quoted(report.title.empty() ? graph.name : report.title));
  const auto write = [&](std::string_view format, const auto&... args) {
    fmt::format_to(std::back_inserter(out), fmt::runtime(format), args...);
  };
  std::vector<std::vector<NodeId>> stood_for(graph.nodes.size());
  if (report.traced != nullptr) stood_for = nodes_stood_for(graph, *report.traced);

  for (size_t i = 0; i < graph.values.size(); ++i) {
    const Value& value = graph.values[i];
    if (value.kind == ValueKind::input || value.kind == ValueKind::state)
      write("  v{} [shape = ellipse, fillcolor = \"white\", label = \"{}\\n{}\"];\n", i, quoted(value.name),
            quoted(type_text(value)));
  }
  for (size_t i = 0; i < graph.nodes.size();) {
    const std::string& layer = graph.nodes[i].layer;
    write("  subgraph cluster_{} {{\n    label = \"{}\";\n", i, quoted(layer));
    for (; i < graph.nodes.size() && graph.nodes[i].layer == layer; ++i) {
      const Node& node = graph.nodes[i];
      std::string label = fmt::format("{} {}", i, quoted(node.schema->name));
      if (!node.outputs.empty()) label += "\\n" + quoted(type_text(graph.value(node.outputs[0])));
      if (stood_for[i].size() > 1) label += fmt::format("\\nfor {} ops", stood_for[i].size());
      const std::string mark = i < report.marks.size() ? report.marks[i] : std::string();
      if (!mark.empty()) label += "\\n" + quoted(mark);
      write("    n{} [label = \"{}\", fillcolor = \"{}\", penwidth = {}];\n", i, label,
            style_of(node.schema->kind).colour, mark.empty() ? 1 : 3);
    }
    out += "  }\n";
  }
  for (size_t i = 0; i < graph.nodes.size(); ++i)
    for (const ValueId input : graph.nodes[i].inputs) {
      if (input == kNone) continue;
      const Value& value = graph.value(input);
      if (value.kind == ValueKind::result)
        write("  n{} -> n{}{};\n", value.producer, i, value.previous == kNone ? "" : " [style = dashed]");
      else if (value.kind != ValueKind::weight)
        write("  v{} -> n{}{};\n", input, i, value.kind == ValueKind::state ? " [style = dashed]" : "");
    }
  for (size_t i = 0; i < graph.outputs.size(); ++i) {
    const GraphOutput& output = graph.outputs[i];
    write("  out{} [shape = ellipse, fillcolor = \"white\", label = \"{}\"];\n", i, quoted(output.name));
    const Value& value = graph.value(output.value);
    if (value.producer != kNone)
      write("  n{} -> out{};\n", value.producer, i);
    else if (value.kind != ValueKind::weight)
      write("  v{} -> out{};\n", output.value, i);
  }
  out += "}\n";
  return out;
}

}  // namespace reprise::graph
