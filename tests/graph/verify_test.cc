// One broken graph for each rule that the verifier holds.
#include "graph/verify.h"

#include <gmock/gmock.h>

#include "core/error.h"
#include "graph/text.h"
#include "tests/graph/sample_graphs.h"

namespace reprise::graph {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// What the verifier finds in the sample graph once `from` reads `to`.
std::vector<std::string> after(const std::string& from, const std::string& to) {
  return problems_of(parse(with(kAttentionText, from, to)));
}

std::vector<std::string> after(const std::function<void(Graph&)>& damage) {
  Graph graph = parse(kAttentionText);
  damage(graph);
  return problems_of(graph);
}

// `a + b` mixed, then what each case adds.
std::vector<std::string> mixed(const std::string& lines) {
  ops::register_op(mix_op());
  return problems_of(
      parse("graph g {\n input %a : f32[T, 8]\n input %b : f32[T, 8]\n"
            " %x = silu(%a) : f32[T, 8]\n %y = silu(%b) : f32[T, 8]\n" +
            lines + "\n}\n"));
}

TEST(Verify, ASoundGraphHasNoProblems) {
  EXPECT_THAT(problems_of(parse(kAttentionText)), IsEmpty());
  EXPECT_NO_THROW(verify(parse(kAttentionText), "nothing"));
  EXPECT_THAT(mixed(" %z = test_mix(%x, %y) share(0: 1) : f32[T, 8]\n return z = %z"), IsEmpty());
}

TEST(Verify, NamesNodeOpAndLayer) {
  EXPECT_THAT(
      after("%21 = matmul(%20, %o_proj, _) {out = f32} : f32[T, 64]",
            "%21 = matmul(%20, %o_proj, _) {out = f32} : f32[T, 65]"),
      testing::Contains("node 2 (matmul, layer 'layers.0.self_attn'): %21 is f32[T, 65], the op gives "
                        "f32[T, 64]"));
  try {
    verify(parse(with(kAttentionText, "%22 = rms_norm(%21, %norm) {eps = 1e-05} : f32",
                      "%22 = rms_norm(%21, %norm) {eps = 1e-05} : bf16")),
           "fuse_all");
    FAIL();
  } catch (const InternalError& error) {
    EXPECT_THAT(error.what(), HasSubstr("after fuse_all the graph is broken"));
    EXPECT_THAT(error.what(), HasSubstr("%22 is bf16[T, 64], the op gives f32[T, 64]"));
  }
}

TEST(Verify, ValuesAreDefinedOnceAndBeforeTheirUses) {
  EXPECT_THAT(after([](Graph& g) { std::swap(g.nodes[2], g.nodes[3]); }),
              testing::Contains(HasSubstr("defines %22 as output 0, which says output 0 of node 3")));
  EXPECT_THAT(after([](Graph& g) {
                std::swap(g.nodes[2], g.nodes[3]);
                std::swap(g.value(g.nodes[2].outputs[0]).producer, g.value(g.nodes[3].outputs[0]).producer);
              }),
              testing::Contains(
                  HasSubstr("node 2 (rms_norm, layer 'layers.0.mlp'): reads %21 before it is defined")));
  EXPECT_THAT(after([](Graph& g) { g.nodes[3].outputs = g.nodes[2].outputs; }),
              testing::Contains(HasSubstr("defines %21 again")));
  EXPECT_THAT(after([](Graph& g) { g.nodes[3].outputs = {0}; }),
              testing::Contains(HasSubstr("defines %q, which comes from outside")));
  EXPECT_THAT(after([](Graph& g) { g.nodes.pop_back(); }), ElementsAre("no node defines %22"));
  EXPECT_THAT(after([](Graph& g) { g.values[0].producer = 0; }),
              ElementsAre(HasSubstr("%q comes from outside")));
  EXPECT_THAT(after([](Graph& g) { g.values[1].name = "q"; }),
              ElementsAre(HasSubstr("two values are called '%q'")));
  EXPECT_THAT(after([](Graph& g) { g.nodes[3].inputs[0] = 99; }), ElementsAre(HasSubstr("reads value 99")));
  EXPECT_THAT(after([](Graph& g) { g.nodes[3].outputs[0] = -2; }),
              ElementsAre(HasSubstr("defines value -2")));
  EXPECT_THAT(after([](Graph& g) { g.outputs[0].value = kNone; }),
              ElementsAre(HasSubstr("returns value -1")));
  EXPECT_THAT(after([](Graph& g) { g.values[0].previous = 99; }),
              ElementsAre(HasSubstr("version of value 99")));
  EXPECT_THAT(after("return hidden = %22", "return hidden = %22\n return hidden = %21"),
              ElementsAre("two outputs are called 'hidden'"));
}

TEST(Verify, ArityAndAttributesAreTheSchemas) {
  EXPECT_THAT(after([](Graph& g) { g.nodes[2].schema = nullptr; }), ElementsAre(HasSubstr("has no schema")));
  EXPECT_THAT(after([](Graph& g) { g.nodes[2].inputs.pop_back(); }),
              ElementsAre(HasSubstr("2 inputs, the op has 3")));
  EXPECT_THAT(after([](Graph& g) { g.nodes[2].attrs.clear(); }),
              ElementsAre(HasSubstr("0 attributes, the op has 1")));
  EXPECT_THAT(after("{out = f32}", "{out = 3}"), ElementsAre(HasSubstr("its types don't fit")));
  EXPECT_THAT(after("rms_norm(%21, %norm)", "rms_norm(%21, _)"),
              ElementsAre(HasSubstr("its types don't fit")));
}

TEST(Verify, TypesAreWhatTheOpsInfer) {
  EXPECT_THAT(after("weight %norm : f32[64]", "weight %norm : f32[63]"),
              ElementsAre(HasSubstr("its types don't fit: [rms_norm]")));
  EXPECT_THAT(after([](Graph& g) { g.value(g.nodes[3].outputs[0]).packing = kF32Panels; }),
              ElementsAre(HasSubstr("%22 is f32 panels[T, 64]")));
  EXPECT_THAT(
      after("%keys.0@1, %values.0@1 = kv_write(%k, %v, %slots, %keys.0, %values.0) {kv_heads = 2, head_dim "
            "= 16, block_size = 16} : f32[9, 512]",
            "%keys.0@1, %values.0@1 = kv_write(%k, %v, %slots, %keys.0, %values.0) {kv_heads = 2, head_dim "
            "= 16, block_size = 16} : f32[8, 512]"),
      ElementsAre(HasSubstr("%keys.0@1 is f32[8, 512], the state %keys.0 is f32[9, 512]")));
}

TEST(Verify, EveryWrittenInputHasItsNewVersion) {
  EXPECT_THAT(after([](Graph& g) {
                g.nodes[1].inputs[2] = g.value(g.nodes[0].outputs[1]).previous;
                g.values.erase(g.values.begin() + g.nodes[0].outputs[1]);
                g.nodes[0].outputs.pop_back();
                for (Node& node : g.nodes)
                  for (auto* list : {&node.inputs, &node.outputs})
                    for (ValueId& id : *list) id -= id > 12;
                g.outputs[0].value -= 1;
              }),
              ElementsAre(HasSubstr("1 outputs; the op computes 0 and writes 2 of its inputs")));
  EXPECT_THAT(after([](Graph& g) { g.value(g.nodes[0].outputs[0]).previous = kNone; }),
              testing::Contains(HasSubstr("%keys.0@1 should be the next version of %keys.0")));
  EXPECT_THAT(after([](Graph& g) { g.value(g.nodes[3].outputs[0]).previous = g.nodes[3].inputs[0]; }),
              ElementsAre(HasSubstr("%22 should be no version of anything")));
  EXPECT_THAT(after("state %keys.0", "input %keys.0"),
              ElementsAre(HasSubstr("writes %keys.0, which isn't state")));
}

TEST(Verify, VersionsAreReadInTheirOrder) {
  EXPECT_THAT(
      after("paged_attention(%q, %keys.0@1", "paged_attention(%q, %keys.0"),
      ElementsAre("node 1 (paged_attention, layer 'layers.0.self_attn'): reads %keys.0 after %keys.0@1 was "
                  "defined"));
  EXPECT_THAT(after("return hidden = %22", "return hidden = %22\n return keys = %keys.0"),
              ElementsAre(HasSubstr("output 'keys' returns %keys.0, of which %keys.0@1 is newer")));
  const std::string again =
      "%keys.0@2, %values.0@2 = kv_write(%k, %v, %slots, %keys.0, %values.0@1) {kv_heads = 2, head_dim = 16, "
      "block_size = 16} : f32[9, 512], f32[9, 512]\n return hidden = %22";
  EXPECT_THAT(after("return hidden = %22", again),
              ElementsAre(HasSubstr("reads %keys.0 after %keys.0@1"),
                          HasSubstr("%keys.0@2 follows %keys.0, but %keys.0@1 was defined since")));
}

TEST(Verify, NoWriteIsLost) {
  const Graph before = parse(kAttentionText);
  EXPECT_THAT(problems_of(before, &before), IsEmpty());
  std::string without = kAttentionText;
  const size_t line = without.find("  %keys.0@1, %values.0@1 = kv_write");
  without.erase(line, without.find('\n', line) + 1 - line);
  without = with(with(without, "%keys.0@1", "%keys.0"), "%values.0@1", "%values.0");
  EXPECT_THAT(problems_of(parse(without)), IsEmpty());
  EXPECT_THAT(problems_of(parse(without), &before),
              ElementsAre("%keys.0 was written 1 times and is now written 0 times",
                          "%values.0 was written 1 times and is now written 0 times"));
}

// A reader that a pass moved across a write, rewired so that the graph is sound by itself.
TEST(Verify, NoReadCrossesAWrite) {
  Graph before = parse(kAttentionText);
  for (size_t i = 0; i < before.values.size(); ++i) before.values[i].traced = static_cast<int32_t>(i);
  Graph moved = before;
  std::swap(moved.nodes[0], moved.nodes[1]);
  for (size_t i = 0; i < 2; ++i)
    for (const ValueId output : moved.nodes[i].outputs) moved.value(output).producer = static_cast<NodeId>(i);
  moved.nodes[0].inputs[1] = moved.nodes[1].inputs[3];
  moved.nodes[0].inputs[2] = moved.nodes[1].inputs[4];
  EXPECT_THAT(problems_of(moved), IsEmpty());
  EXPECT_THAT(
      problems_of(moved, &before),
      ElementsAre(HasSubstr("node 0 (paged_attention, layer 'layers.0.self_attn'): %20 was computed from "
                            "version 1 of %keys.0"),
                  HasSubstr("version 1 of %values.0")));
}

// One op that writes the cache and then attends to it stands for both.
TEST(Verify, AFusedWriteAndReadKeepsTheOrder) {
  static constexpr std::string_view kInputs[] = {"q", "keys", "values"};
  static const ops::OpSchema fused{.name = "test_write_and_attend",
                                   .kind = ops::OpKind::attention,
                                   .input_names = kInputs,
                                   .mutated_inputs = 0b110,
                                   .infer = [](const ops::OpCall& call, ops::OutputSpecs& outputs) {
                                     outputs.add(call.input(0).dtype, call.input(0).shape);
                                   }};
  ops::register_op(fused);
  Graph before = parse(kAttentionText);
  for (size_t i = 0; i < before.values.size(); ++i) before.values[i].traced = static_cast<int32_t>(i);
  Graph after = before;
  Node& node = after.nodes[1];
  node = {.schema = &fused,
          .inputs = {node.inputs[0], after.nodes[0].inputs[3], after.nodes[0].inputs[4]},
          .outputs = {node.outputs[0], after.nodes[0].outputs[0], after.nodes[0].outputs[1]}};
  compact(after, {true, false, false, false});
  EXPECT_THAT(problems_of(after), IsEmpty());
  EXPECT_THAT(problems_of(after, &before), IsEmpty());
}

TEST(Verify, StorageIsSharedOnlyWhereNothingElseNeedsIt) {
  EXPECT_THAT(
      mixed(" %z = test_mix(%x, %y) share(0: 1) : f32[T, 8]\n %u = add(%z, %y) : f32[T, 8]\n return u = %u"),
      ElementsAre(HasSubstr("%z takes the storage of %y, which node 3 (add) still reads")));
  EXPECT_THAT(mixed(" %z = test_mix(%x, %y) share(0: 0) : f32[T, 8]\n return z = %z\n return x = %x"),
              ElementsAre(HasSubstr("%z takes the storage of %x, which the graph returns")));
  EXPECT_THAT(mixed(" %z = test_mix(%a, %y) share(0: 0) : f32[T, 8]\n return z = %z"),
              ElementsAre(HasSubstr("%z takes the storage of %a, which comes from outside")));
  EXPECT_THAT(
      mixed(" %z = matmul(%x, _, _) {out = f32} share(0: 0) : f32[T, 8]\n return z = %z"),
      testing::Contains(HasSubstr("%z takes the storage of %x, which the op doesn't allow for input 'x'")));
  EXPECT_THAT(mixed(" %z = test_mix(%x, %y) share(1: 0) : f32[T, 8]\n return z = %z"),
              ElementsAre(HasSubstr("output 1 takes the storage of input 0: one of them isn't there")));
  EXPECT_THAT(mixed(" %z = test_mix(%x, _) share(0: 1) : f32[T, 8]\n return z = %z"),
              ElementsAre(HasSubstr("output 0 takes the storage of input 1: one of them isn't there")));
  Graph narrow = parse(
      "graph g {\n input %ids : i32[S]\n input %a : f32[T, 8]\n %x = silu(%a) : f32[T, 8]\n"
      " %z = gather_rows(%x, %ids) : f32[S, 8]\n return z = %z\n}");
  static ops::OpSchema gather = *narrow.nodes[1].schema;
  gather.may_share = {0b1};
  narrow.nodes[1].schema = &gather;
  EXPECT_THAT(problems_of(narrow), IsEmpty());
  narrow.nodes[1].shares[0] = 0;
  EXPECT_THAT(problems_of(narrow), ElementsAre(HasSubstr("which is of other bytes")));
}

TEST(Verify, AnInputThatIsReadTwiceIsSharedOnlyWhereBothMayBe) {
  ops::register_op(mix_op());
  Graph graph = parse(
      "graph g {\n input %a : f32[T, 8]\n %x = silu(%a) : f32[T, 8]\n"
      " %z = test_mix(%x, %x) share(0: 0) : f32[T, 8]\n return z = %z\n}");
  EXPECT_THAT(problems_of(graph), IsEmpty());
  static ops::OpSchema first_only = mix_op();
  first_only.may_share = {0b01};
  graph.nodes[1].schema = &first_only;
  EXPECT_THAT(problems_of(graph), ElementsAre(HasSubstr("doesn't allow for input 'b'")));
}

// Two outputs that would lie in one place.
TEST(Verify, NoTwoOutputsShareOneInput) {
  static constexpr std::string_view kInputs[] = {"a"};
  static const ops::OpSchema twins{.name = "test_twins",
                                   .kind = ops::OpKind::elementwise,
                                   .input_names = kInputs,
                                   .may_share = {0b1, 0b1},
                                   .infer = [](const ops::OpCall& call, ops::OutputSpecs& outputs) {
                                     outputs.add(call.input(0).dtype, call.input(0).shape);
                                     outputs.add(call.input(0).dtype, call.input(0).shape);
                                   }};
  ops::register_op(twins);
  EXPECT_THAT(mixed(" %p, %q = test_twins(%x) share(0: 0, 1: 0) : f32[T, 8], f32[T, 8]\n return q = %q"),
              ElementsAre(HasSubstr("outputs 0 and 1 take the storage of the same input")));
}

TEST(Compact, DropsDeadNodesAndWhatOnlyTheyNamed) {
  Graph graph = parse(
      with(kAttentionText, "return hidden = %22", "%23 = silu(%22) : f32[T, 64]\n return hidden = %22"));
  std::vector<bool> dead(graph.nodes.size());
  dead[4] = true;
  compact(graph, dead);
  EXPECT_EQ(print(graph), kAttentionText);
  EXPECT_THAT(problems_of(graph), IsEmpty());
  // Attention goes and takes its inputs along; the write stays.
  dead.assign(4, false);
  dead[1] = true;
  graph.nodes[2].inputs[0] = 0;
  compact(graph, dead);
  EXPECT_THAT(problems_of(graph), IsEmpty());
  EXPECT_EQ(graph.nodes.size(), 3u);
  EXPECT_THAT(print(graph), testing::Not(HasSubstr("tables")));
  EXPECT_THAT(print(graph), HasSubstr("%keys.0@1, %values.0@1 = kv_write"));
}

TEST(Uses, CountEachRead) {
  const Graph graph = parse(
      "graph g {\n input %a : f32[T, 8]\n %x = silu(%a) : f32[T, 8]\n"
      " %y = mul(%x, %x) : f32[T, 8]\n %z = silu(%y) : f32[T, 8]\n return y = %y\n}");
  const Uses uses = uses_of(graph);
  EXPECT_THAT(uses.nodes[1], ElementsAre(1, 1));
  EXPECT_TRUE(uses.only_by(0, 0));
  EXPECT_FALSE(uses.only_by(1, 1));  // twice
  EXPECT_FALSE(uses.only_by(2, 2));  // returned
}

}  // namespace
}  // namespace reprise::graph
