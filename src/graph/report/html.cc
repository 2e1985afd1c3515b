#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>

#include "graph/report/colours.h"
#include "graph/report/report.h"
#include "graph/text.h"

namespace reprise::graph {
namespace {

constexpr std::string_view kStyle = R"(
body { font: 14px/1.5 sans-serif; margin: 2em auto; max-width: 1280px; padding: 0 1em; color: #1b1b1b; }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; padding: 2px 10px 2px 0;
vertical-align: top; border-bottom: 1px solid #eee; } code, td { font-family: ui-monospace, monospace;
font-size: 12px; } .chip { padding: 1px 6px; border-radius: 4px; } svg { width: 100%; border: 1px solid #ddd; }
details { margin: 4px 0; } summary { cursor: pointer; font-weight: 600; } .dim { color: #777; }
a { color: #1d4ed8; text-decoration: none; } tr:target { background: #fff3bf; } svg text { font-size: 11px; }
rect:hover { stroke: #000; stroke-width: 1; })";

constexpr std::string_view kMarkColours[] = {"#2a9d8f", "#e76f51", "#6d6875", "#457b9d", "#bc6c25"};
constexpr double kWidth = 1200;  // of the charts

std::string escaped(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string bytes_text(size_t bytes) {
  if (bytes < 10240) return fmt::format("{} bytes", bytes);
  if (bytes < (size_t{10} << 20)) return fmt::format("{:.1f} KiB", static_cast<double>(bytes) / 1024);
  return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1 << 20));
}

class Page {
 public:
  explicit Page(const Report& report) : report_(report), graph_(*report.graph) {
    if (report.traced != nullptr) stood_for_ = nodes_stood_for(graph_, *report.traced);
    for (const std::string& mark : report.marks)
      if (!mark.empty() && !mark_colours_.contains(mark))
        mark_colours_.emplace(mark, kMarkColours[mark_colours_.size() % std::size(kMarkColours)]);
  }

  std::string write() {
    const std::string title = escaped(report_.title.empty() ? graph_.name : report_.title);
    add("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{}</title><style>{}</style>"
        "</head><body>\n<h1>{}</h1>\n",
        title, kStyle, title);
    summary();
    order();
    if (report_.plan != nullptr) memory();
    layers();
    if (report_.traced != nullptr) removed();
    out_ += "</body></html>\n";
    return std::move(out_);
  }

 private:
  template <typename... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
  }
  void chip(std::string_view text, std::string_view colour) {
    add("<span class=\"chip\" style=\"background:{}\">{}</span>", colour, escaped(text));
  }
  std::string mark_of(size_t node) const {
    return node < report_.marks.size() ? report_.marks[node] : std::string();
  }

  void summary() {
    out_ += "<p>";
    if (report_.traced != nullptr) add("{} ops as the model says them, ", report_.traced->nodes.size());
    add("{} nodes as they run", graph_.nodes.size());
    if (report_.plan != nullptr)
      add("; the arena takes {} for {} tokens of {} sequences ({} are alive at once)",
          bytes_text(report_.plan->bytes), report_.plan->largest.tokens, report_.plan->largest.seqs,
          bytes_text(live_bytes(*report_.plan)));
    out_ += ".</p>\n";
    std::map<ops::OpKind, int> counts;
    for (const Node& node : graph_.nodes) ++counts[node.schema->kind];
    out_ += "<p>";
    for (const ops::OpKind kind : kAllKinds)
      if (counts.contains(kind)) {
        chip(fmt::format("{} {}", style_of(kind).name, counts[kind]), style_of(kind).colour);
        out_ += ' ';
      }
    out_ += "</p>\n";
    if (report_.notes.empty()) return;
    out_ += "<details open><summary>Notes</summary><ul>\n";
    for (const std::string& note : report_.notes) add("<li><code>{}</code></li>\n", escaped(note));
    out_ += "</ul></details>\n";
  }

  double column() const { return kWidth / static_cast<double>(std::max<size_t>(graph_.nodes.size(), 1)); }

  // One column a node: what it is, and how it is marked.
  void order() {
    out_ += "<h2>In the order in which they run</h2>\n";
    add("<svg viewBox=\"0 0 {} 40\">\n", kWidth);
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      const Node& node = graph_.nodes[i];
      const std::string mark = mark_of(i);
      add("<rect x=\"{:.2f}\" y=\"0\" width=\"{:.2f}\" height=\"24\" fill=\"{}\"><title>{} {} "
          "{}</title></rect>",
          column() * static_cast<double>(i), column() * 0.96, style_of(node.schema->kind).colour, i,
          escaped(node.schema->name), escaped(node.layer));
      if (!mark.empty())
        add("<rect x=\"{:.2f}\" y=\"28\" width=\"{:.2f}\" height=\"12\" fill=\"{}\"><title>{} "
            "{}</title></rect>",
            column() * static_cast<double>(i), column(), mark_colours_.at(mark), i, escaped(mark));
      out_ += '\n';
    }
    out_ += "</svg>\n";
    if (mark_colours_.empty()) return;
    out_ += "<p>";
    for (const auto& [mark, colour] : mark_colours_) {
      chip(mark, colour);
      add(" {} nodes ", std::count(report_.marks.begin(), report_.marks.end(), mark));
    }
    out_ += "</p>\n";
  }

  // Offset by node: who has which bytes, and how long.
  void memory() {
    const MemoryPlan& plan = *report_.plan;
    constexpr double kHeight = 480;
    const double scale = kHeight / static_cast<double>(std::max<size_t>(plan.bytes, 1));
    add("<h2>Lifetimes in the arena</h2>\n<p class=\"dim\">Across: nodes. Down: offsets, 0 to {}.</p>\n",
        bytes_text(plan.bytes));
    add("<svg viewBox=\"0 0 {} {}\">\n", kWidth, kHeight);
    for (const Placement& placement : plan.placements) {
      const NodeId last = std::min(placement.last, static_cast<NodeId>(graph_.nodes.size()) - 1);
      const Node& node = graph_.node(placement.first);
      const std::string what = placement.value == kNone ? "workspace of " + std::string(node.schema->name)
                                                        : "%" + graph_.value(placement.value).name + " " +
                                                              type_text(graph_.value(placement.value));
      add("<rect x=\"{:.2f}\" y=\"{:.3f}\" width=\"{:.2f}\" height=\"{:.3f}\" fill=\"{}\" "
          "fill-opacity=\"{}\" "
          "stroke=\"#fff\" stroke-width=\"0.3\"><title>{}: {} at {}, nodes {} to {}, {}</title></rect>\n",
          column() * placement.first, scale * static_cast<double>(placement.offset),
          column() * (last - placement.first + 1), scale * static_cast<double>(placement.bytes),
          style_of(node.schema->kind).colour, placement.value == kNone ? 0.5 : 1.0, escaped(what),
          bytes_text(placement.bytes), placement.offset, placement.first, placement.last,
          escaped(node.layer));
    }
    out_ += "</svg>\n";
  }

  void layers() {
    out_ += "<h2>Nodes by layer</h2>\n";
    for (size_t begin = 0; begin < graph_.nodes.size();) {
      const std::string& layer = graph_.nodes[begin].layer;
      size_t end = begin;
      while (end < graph_.nodes.size() && graph_.nodes[end].layer == layer) ++end;
      add("<details{}><summary>{} <span class=\"dim\">{} "
          "nodes</span></summary>\n<table><tr><th>#</th><th>op</th>"
          "<th>gives</th><th>from</th><th>stands for</th><th></th><th>said in</th></tr>\n",
          graph_.nodes.size() <= 60 ? " open" : "", layer.empty() ? "(model)" : escaped(layer), end - begin);
      for (; begin < end; ++begin) row(begin);
      out_ += "</table></details>\n";
    }
    out_ += "<p>";
    for (const GraphOutput& output : graph_.outputs)
      add("Returns <b>{}</b> = {}. ", escaped(output.name), link(output.value));
    out_ += "</p>\n";
  }

  std::string link(ValueId id) const {
    if (id == kNone) return "_";
    const Value& value = graph_.value(id);
    if (value.producer == kNone) return "%" + escaped(value.name);
    return fmt::format("<a href=\"#n{}\">%{}</a>", value.producer, escaped(value.name));
  }

  void row(size_t index) {
    const Node& node = graph_.nodes[index];
    add("<tr id=\"n{}\"><td>{}</td><td>", index, index);
    chip(node.schema->name, style_of(node.schema->kind).colour);
    add("<br><span class=\"dim\">{}</span></td><td>", escaped(attributes_text(node)));
    for (size_t k = 0; k < node.outputs.size(); ++k) {
      const Value& value = graph_.value(node.outputs[k]);
      add("%{} {}", escaped(value.name), escaped(type_text(value)));
      if (k < node.shares.size() && node.shares[k] != kNone)
        add(" in place of {}", link(node.inputs[static_cast<size_t>(node.shares[k])]));
      out_ += "<br>";
    }
    out_ += "</td><td>";
    for (const ValueId input : node.inputs) out_ += link(input) + "<br>";
    out_ += "</td><td>";
    if (index < stood_for_.size())
      for (const NodeId traced : stood_for_[index])
        add("{}<br>", escaped(report_.traced->node(traced).schema->name));
    out_ += "</td><td>";
    if (const std::string mark = mark_of(index); !mark.empty()) chip(mark, mark_colours_.at(mark));
    add("</td><td class=\"dim\">{}</td></tr>\n", escaped(node.source));
  }

  // Traced ops that no node stands for.
  void removed() {
    std::vector<bool> kept(report_.traced->nodes.size());
    for (const auto& nodes : stood_for_)
      for (const NodeId node : nodes) kept[static_cast<size_t>(node)] = true;
    if (std::find(kept.begin(), kept.end(), false) == kept.end()) return;
    out_ += "<h2>Ops that are gone</h2>\n<ul>\n";
    for (size_t i = 0; i < kept.size(); ++i)
      if (!kept[i])
        add("<li><code>{} {} {} {}</code></li>\n", i, escaped(report_.traced->nodes[i].schema->name),
            escaped(report_.traced->nodes[i].layer), escaped(report_.traced->nodes[i].source));
    out_ += "</ul>\n";
  }

  const Report& report_;
  const Graph& graph_;
  std::vector<std::vector<NodeId>> stood_for_;
  std::map<std::string, std::string_view> mark_colours_;
  std::string out_;
};

}  // namespace

std::string to_html(const Report& report) {
  return Page(report).write();
}

}  // namespace reprise::graph
