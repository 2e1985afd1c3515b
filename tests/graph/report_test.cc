// Reports say what is in the graph, escape what models call things, and stand on their own.
#include "graph/report/report.h"

#include <gmock/gmock.h>

#include <set>

#include "graph/text.h"
#include "tests/graph/sample_graphs.h"
#include "tests/graph/step_model.h"

namespace reprise::graph {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

size_t count(const std::string& text, const std::string& part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++found;
  return found;
}

// Every element that is opened is closed, in order; the page's own void elements aside.
std::string first_unbalanced(const std::string& html) {
  std::vector<std::string> open;
  for (size_t at = html.find('<'); at != std::string::npos; at = html.find('<', at + 1)) {
    const size_t end = html.find('>', at);
    if (end == std::string::npos) return "a tag that doesn't end";
    const std::string tag = html.substr(at + 1, end - at - 1);
    const std::string name = tag.substr(0, tag.find(' '));
    if (name == "!DOCTYPE" || name == "meta" || name == "br") continue;
    if (name[0] != '/') {
      open.push_back(name);
    } else {
      if (open.empty() || open.back() != name.substr(1)) return name;
      open.pop_back();
    }
  }
  return open.empty() ? "" : open.back();
}

// x -> silu -> mul(., y), as it was traced and with one op for both.
struct Fused {
  Fused() {
    ops::register_op(mix_op());
    traced = parse(
        "graph g {\n input %x : f32[T, 8]\n input %y : f32[T, 8]\n %2 = silu(%x) : f32[T, 8]\n"
        " %3 = mul(%2, %y) : f32[T, 8]\n %4 = silu(%y) : f32[T, 8]\n %5 = silu(%3) : f32[T, 8]\n"
        " return z = %5\n}");
    graph = parse(
        "graph g {\n input %x : f32[T, 8]\n input %y : f32[T, 8]\n %3 = test_mix(%x, %y) : f32[T, 8]\n"
        " %5 = silu(%3) : f32[T, 8]\n return z = %5\n}");
    graph.values[2].traced = 3;
    graph.values[3].traced = 5;
  }
  Graph traced, graph;
};

TEST(Report, SaysWhichTracedNodesANodeStandsFor) {
  const Fused f;
  EXPECT_THAT(nodes_stood_for(f.graph, f.traced), ElementsAre(ElementsAre(0, 1), ElementsAre(3)));
  EXPECT_THAT(nodes_stood_for(f.traced, f.traced).size(), 4u);
  const std::string html = to_html({.graph = &f.graph, .traced = &f.traced});
  EXPECT_THAT(html, HasSubstr("4 ops as the model says them, 2 nodes as they run"));
  EXPECT_THAT(html, HasSubstr("<td>silu<br>mul<br></td>"));
  EXPECT_THAT(html, HasSubstr("<h2>Ops that are gone</h2>\n<ul>\n<li><code>2 silu"));
  EXPECT_THAT(to_dot({.graph = &f.graph, .traced = &f.traced}),
              HasSubstr("test_mix\\nf32[T, 8]\\nfor 2 ops"));
}

TEST(Report, APageOfAModelIsComplete) {
  const HollowModel hollow(step_config("Qwen3ForCausalLM"), DType::bf16);
  const StepBuffers buffers(*hollow.model);
  const Graph graph = trace_model(*hollow.model, buffers);
  const MemoryPlan plan = plan_memory(graph, StepBuffers::kLargest, {{5, 4096}});
  std::vector<std::string> marks(graph.nodes.size(), "replayed");
  marks[7] = "split: attention";
  const std::string html = to_html({.title = "Qwen3, after fuse_qkv",
                                    .graph = &graph,
                                    .traced = &graph,
                                    .plan = &plan,
                                    .marks = marks,
                                    .notes = {"fuse_qkv 12 us"}});
  EXPECT_EQ(first_unbalanced(html), "");
  EXPECT_EQ(count(html, "<tr id=\"n"), graph.nodes.size());
  EXPECT_EQ(count(html, "stroke-width=\"0.3\""), plan.placements.size());
  EXPECT_EQ(count(html, "<summary>model.layers.1.mlp"), 1u);
  EXPECT_THAT(html, HasSubstr("workspace of "));
  EXPECT_THAT(html, HasSubstr("split: attention"));
  EXPECT_THAT(html, HasSubstr("fuse_qkv 12 us"));
  EXPECT_THAT(html, Not(HasSubstr("Ops that are gone")));
  // Nothing is fetched and nothing runs.
  for (const char* part : {"http", "src=", "<script", "<link", "url(", "@import"})
    EXPECT_THAT(html, Not(HasSubstr(part)));
}

TEST(Report, NamesAreEscaped) {
  Graph graph = parse(kAttentionText);
  const std::string bad = "<b>\"'&\\\n";
  graph.name = bad;
  graph.values[0].name = bad;
  graph.nodes[0].layer = graph.nodes[0].source = bad;
  graph.outputs[0].name = bad;
  const MemoryPlan plan = plan_memory(graph, {8, 4}, {});
  const Report report{
      .graph = &graph, .traced = &graph, .plan = &plan, .marks = {bad, bad, "", bad}, .notes = {bad}};
  const std::string html = to_html(report);
  EXPECT_EQ(first_unbalanced(html), "");
  EXPECT_THAT(html, Not(HasSubstr("<b>\"")));
  EXPECT_THAT(html, HasSubstr("&lt;b&gt;&quot;&#39;&amp;\\"));
  // In DOT, what stands between quotes has no bare quote and no line end.
  const std::string dot = to_dot(report);
  bool quoted = false;
  for (size_t i = 0; i < dot.size(); ++i) {
    if (dot[i] == '\\' && quoted)
      ++i;
    else if (dot[i] == '"')
      quoted = !quoted;
    else
      EXPECT_FALSE(quoted && dot[i] == '\n');
  }
  EXPECT_FALSE(quoted);
  EXPECT_THAT(dot, HasSubstr("<b>\\\"'&\\\\\\n"));
}

TEST(Report, DotHasEveryNodeAndEdge) {
  const Graph graph = parse(kAttentionText);
  const std::string dot = to_dot({.graph = &graph, .marks = {"", "split"}});
  EXPECT_EQ(count(dot, "\n    n"), 4u);
  EXPECT_EQ(count(dot, "subgraph cluster_"), 2u);
  EXPECT_THAT(dot, HasSubstr("n0 -> n1 [style = dashed];"));
  EXPECT_THAT(dot, HasSubstr("n2 -> n3;"));
  EXPECT_THAT(dot, HasSubstr("n3 -> out0;"));
  EXPECT_THAT(dot,
              HasSubstr("paged_attention\\nf32[T, 64]\\nsplit\", fillcolor = \"#fb8500\", penwidth = 3"));
  EXPECT_THAT(dot, Not(HasSubstr("o_proj")));
}

}  // namespace
}  // namespace reprise::graph
