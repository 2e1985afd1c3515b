// The runner of the list: what it runs, in which order, what it says of each pass.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "core/error.h"
#include "graph/passes/pass.h"
#include "graph/text.h"
#include "ops/registry.h"
#include "source_dir.h"

namespace reprise::graph {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAreArray;
using testing::HasSubstr;

constexpr std::string_view kGate = R"(graph g {
  input %gate : f32[T, 8]
  input %up : f32[T, 8]
  %activated = silu(%gate) : f32[T, 8]
  %y = mul(%up, %activated) : f32[T, 8]
  %unused = gelu(%y) : f32[T, 8]
  return y = %y
}
)";

std::vector<std::string_view> names_of(std::span<const Pass> passes) {
  std::vector<std::string_view> names;
  for (const Pass& pass : passes) names.push_back(pass.name);
  return names;
}

TEST(PassList, EveryPassSaysWhatItDoesAndHasTexts) {
  for (const Pass& pass : pass_list()) {
    EXPECT_FALSE(pass.what.empty()) << pass.name;
    EXPECT_TRUE(
        std::filesystem::exists(fmt::format("{}/tests/graph/passes/{}.test", REPRISE_SOURCE_DIR, pass.name)));
  }
}

TEST(RunPasses, RunsTheListInOrderAndReportsEach) {
  Graph graph = parse(kGate);
  PassContext context;
  std::vector<std::string_view> dumped;
  size_t nodes = 3;
  PassOptions options;
  options.after_each = [&](const Pass& pass, const Graph&) { dumped.push_back(pass.name); };
  for (const PassRun& run : run_passes(graph, context, options)) {
    EXPECT_EQ(run.nodes_before, nodes) << run.name;
    EXPECT_GE(run.microseconds, 0) << run.name;
    EXPECT_EQ(run.changed, run.name == "fuse_gate" || run.nodes_before != run.nodes_after) << run.name;
    nodes = run.nodes_after;
  }
  EXPECT_EQ(nodes, 1u);
  EXPECT_THAT(dumped, ElementsAreArray(names_of(pass_list())));
}

TEST(RunPasses, LeavesOutWhatIsDisabled) {
  Graph graph = parse(kGate);
  PassContext context;
  for (const PassRun& run :
       run_passes(graph, context, {.disabled = {"fuse_gate", "in_place"}, .after_each = {}}))
    EXPECT_THAT(run.name, AllOf(testing::Ne("fuse_gate"), testing::Ne("in_place")));
  EXPECT_EQ(graph.nodes.size(), 2u);
}

TEST(RunPasses, SuggestsTheNearestNameForOneThatIsUnknown) {
  Graph graph = parse(kGate);
  PassContext context;
  try {
    run_passes(graph, context, {.disabled = {"fuse_gates"}, .after_each = {}});
    FAIL() << "a pass that is not there was disabled";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("'fuse_gates'"), HasSubstr("did you mean 'fuse_gate'")));
  }
}

TEST(RunPasses, ABrokenGraphIsBlamedOnWhoMadeIt) {
  Graph graph = parse(kGate);
  graph.value(graph.nodes[1].outputs[0]).shape = Shape{kSeqs, 8};
  PassContext context;
  try {
    run_passes(graph, context);
    FAIL() << "a broken graph was taken";
  } catch (const InternalError& error) {
    EXPECT_THAT(error.what(), HasSubstr("after tracing"));
  }
}

// Nothing is known of an opaque op, so two of the same inputs are two, and one that nobody reads stays.
TEST(RunPasses, LeavesOpaqueOpsAlone) {
  static constexpr std::string_view kInputs[] = {"x"};
  static const ops::OpSchema opaque{.name = "test_opaque",
                                    .kind = ops::OpKind::opaque,
                                    .input_names = kInputs,
                                    .infer = [](const ops::OpCall& call, ops::OutputSpecs& outputs) {
                                      outputs.add(call.input(0).dtype, call.input(0).shape);
                                    }};
  ops::register_op(opaque);
  const std::string text = R"(graph g {
  weight %w : f32[4, 8]
  %a = test_opaque(%w) : f32[4, 8]
  %b = test_opaque(%w) : f32[4, 8]
  %unread = test_opaque(%w) : f32[4, 8]
  return a = %a
  return b = %b
}
)";
  class NoFolder final : public ConstantFolder {
    std::vector<Tensor> fold(const Graph&, const Node&) override { throw Error("folded"); }
    Tensor constant(DType, const Shape&, const void*) override { throw Error("made"); }
  } folder;
  PassContext context{.folder = &folder};
  Graph graph = parse(text);
  run_passes(graph, context);
  EXPECT_EQ(print(graph), text);
}

}  // namespace
}  // namespace reprise::graph
