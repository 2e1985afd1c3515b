// The text form: what is printed is read back as it was, and what can't be read is refused with its place.
#include "graph/text.h"

#include <gmock/gmock.h>

#include "core/error.h"
#include "graph/verify.h"
#include "tests/graph/sample_graphs.h"

namespace reprise::graph {
namespace {

using testing::HasSubstr;

std::string failure(const std::string& text) {
  try {
    parse(text);
  } catch (const Error& error) {
    return error.what();
  }
  return "parsed";
}

TEST(GraphText, PrintsWhatItReads) {
  const Graph graph = parse(kAttentionText);
  EXPECT_EQ(print(graph), kAttentionText);
  EXPECT_THAT(problems_of(graph), testing::IsEmpty());
}

TEST(GraphText, KeepsTheStructure) {
  const Graph graph = parse(kAttentionText);
  ASSERT_EQ(graph.nodes.size(), 4u);
  const Node& write = graph.nodes[0];
  EXPECT_EQ(write.schema->name, "kv_write");
  EXPECT_EQ(write.layer, "layers.0.self_attn");
  EXPECT_EQ(write.source, "src/models/layers/attention.cc:51");
  EXPECT_EQ(std::get<int64_t>(write.attrs[1]), 16);
  const Value& version = graph.value(write.outputs[1]);
  EXPECT_EQ(version.name, "values.0@1");
  EXPECT_EQ(graph.value(version.previous).name, "values.0");
  EXPECT_EQ(root_of(graph, write.outputs[1]), version.previous);
  EXPECT_EQ(version.producer, 0);
  EXPECT_EQ(version.output, 1);
  EXPECT_EQ(graph.nodes[2].inputs[2], kNone);
  EXPECT_EQ(std::get<DType>(graph.nodes[2].attrs[0]), DType::f32);
  EXPECT_EQ(graph.nodes[2].source, "");
  EXPECT_EQ(graph.value(graph.nodes[2].inputs[1]).packing, kF32Panels);
  EXPECT_EQ(graph.value(graph.nodes[3].outputs[0]).shape, (Shape{kTokens, 64}));
  EXPECT_EQ(std::get<double>(graph.nodes[3].attrs[0]), 1e-5);
  ASSERT_EQ(graph.outputs.size(), 1u);
  EXPECT_EQ(graph.value(graph.outputs[0].value).name, "22");
}

// Names and layers of any bytes, every kind of attribute, dims with signs, sharing.
TEST(GraphText, OddNamesAndNumbersComeBack) {
  static constexpr std::string_view kInputs[] = {"a"};
  static constexpr std::string_view kAttrs[] = {"i", "d", "e", "t", "dim", "fixed"};
  static const ops::OpSchema odd{.name = "test_odd",
                                 .kind = ops::OpKind::opaque,
                                 .input_names = kInputs,
                                 .attr_names = kAttrs,
                                 .infer = [](const ops::OpCall&, ops::OutputSpecs& outputs) {
                                   outputs.add(DType::i8, Shape{Dim{-3, 2, 0, 0}, 5});
                                 }};
  ops::register_op(odd);
  Graph graph;
  graph.name = "a \"quoted\" \\ name";
  const ValueId in =
      add_value(graph, {.name = "tokens, of: a step\n", .kind = ValueKind::input, .shape = {}});
  const ValueId out =
      add_value(graph, {.dtype = DType::i8, .shape = {Dim{-3, 2, 0, 0}, 5}, .producer = 0, .output = 0});
  graph.nodes.push_back({.schema = &odd,
                         .inputs = {in},
                         .attrs = {int64_t{-7}, 3.0, 0.1, DType::bf16, Dim{1, -1, 2, -4}, Dim{12}},
                         .outputs = {out},
                         .layer = "",
                         .source = "a b.cc:1",
                         .shares = {0, kNone, kNone, 11}});
  graph.outputs.push_back({"out put", out});
  const std::string text = print(graph);
  const Graph back = parse(text);
  EXPECT_EQ(print(back), text);
  EXPECT_EQ(back.name, graph.name);
  EXPECT_EQ(back.values[0].name, graph.values[0].name);
  EXPECT_EQ(back.values[1].shape, graph.values[1].shape);
  EXPECT_EQ(back.nodes[0].attrs, graph.nodes[0].attrs);
  EXPECT_EQ(back.nodes[0].layer, "");
  EXPECT_EQ(back.nodes[0].source, "a b.cc:1");
  EXPECT_EQ(back.nodes[0].shares, graph.nodes[0].shares);
  EXPECT_EQ(back.outputs[0].name, "out put");
}

TEST(GraphText, PackingsComeBack) {
  constexpr std::string_view kText =
      "graph g {\n  weight %a : f32 panels[8, 4]\n  weight %b : bf16 panels/32xf16[9, 64, 32]\n"
      "  return b = %b\n}\n";
  const Graph graph = parse(kText);
  EXPECT_EQ(graph.values[0].packing, kF32Panels);
  EXPECT_EQ(graph.values[1].packing,
            (Packing{.format = PanelFormat::bf16_pairs, .scale = DType::f16, .group = 32}));
  EXPECT_EQ(print(graph), kText);
}

TEST(GraphText, NumbersForNewValuesAreFree) {
  Graph graph = parse(kAttentionText);
  EXPECT_EQ(graph.value(add_value(graph, {})).name, "23");
  EXPECT_EQ(graph.value(add_value(graph, {})).name, "24");
}

TEST(GraphText, CommentsAndBlankLinesMayStandAnywhere) {
  EXPECT_EQ(print(parse("# first\n\n graph g {  # here\n\n  # and\n\tinput %a:f32[2*T + 1, 3]\n  return x = "
                        "%a # c\n}\n\n# end")),
            "graph g {\n  input %a : f32[2*T+1, 3]\n  return x = %a\n}\n");
}

TEST(GraphText, RefusesWithThePlace) {
  EXPECT_THAT(failure(with(kAttentionText, "paged_attention", "page_attention")),
              HasSubstr("line 14, column 9: no op is called 'page_attention'"));
  EXPECT_THAT(failure(with(kAttentionText, "(%20,", "(%30,")),
              HasSubstr("line 15, column 16: %30 is not defined above"));
  EXPECT_THAT(failure(with(kAttentionText, "%21 =", "%20 =")),
              HasSubstr("line 15, column 3: %20 is defined twice"));
  EXPECT_THAT(failure(with(kAttentionText, "input %k", "input %q")), HasSubstr("%q is defined twice"));
  EXPECT_THAT(failure(with(kAttentionText, ", _)", ")")), HasSubstr("2 inputs; 'matmul' has 3"));
  EXPECT_THAT(failure(with(kAttentionText, "{eps = 1e-05}", "")), HasSubstr("has the attributes eps"));
  EXPECT_THAT(failure(with(kAttentionText, "eps =", "epsilon =")), HasSubstr("has the attributes eps"));
  EXPECT_THAT(failure(with(kAttentionText, "1e-05", "tiny")), HasSubstr("expected a number, a dtype or"));
  EXPECT_THAT(failure(with(kAttentionText, "f32[T, 64]", "float[T, 64]")), HasSubstr("expected a type"));
  EXPECT_THAT(failure(with(kAttentionText, "f32 panels", "f32 tiles")),
              HasSubstr("'tiles' is no packing of f32; expected panels"));
  EXPECT_THAT(failure(with(kAttentionText, "[T, 64]", "[T, S]")), HasSubstr("at most one dimension"));
  EXPECT_THAT(failure(with(kAttentionText, "[T, 64]", "[T, 64, 1, 1, 1]")),
              HasSubstr("at most 4 dimensions"));
  EXPECT_THAT(failure(with(kAttentionText, "[T, 64]", "[T, 99999999999999]")), HasSubstr("of at most"));
  EXPECT_THAT(failure(with(kAttentionText, "[T, 64]", "[T, 1099511627776, 9]")), HasSubstr("elements"));
  EXPECT_THAT(failure(with(kAttentionText, "[T, 64]", "[T, x]")), HasSubstr("expected a dimension"));
  EXPECT_THAT(failure(with(kAttentionText, "\n}\n", "\n")), HasSubstr("expected an op, or"));
  EXPECT_THAT(failure(with(kAttentionText, "\n}\n", "\n} x")), HasSubstr("text after"));
  EXPECT_THAT(failure(with(kAttentionText, "hidden", "\"hidden")), HasSubstr("doesn't end"));
}

// Whatever is cut off or changed, the answer is a graph or an Error.
TEST(GraphText, SurvivesDamage) {
  int parsed = 0;
  uint32_t state = 1;
  for (size_t i = 0; i < kAttentionText.size(); ++i) {
    parsed += failure(kAttentionText.substr(0, i)) == "parsed";
    state = state * 1664525u + 1013904223u;
    std::string damaged = kAttentionText;
    damaged[i] = static_cast<char>(state >> 24);
    failure(damaged);
  }
  EXPECT_EQ(parsed, 1);  // without the last line's end
}

}  // namespace
}  // namespace reprise::graph
