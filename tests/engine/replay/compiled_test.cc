// Level 2 around a compiler: which groups it gets, what happens where it fails, and that a wrong kernel is found.
// The compiler is tests/graph/decomposing_compiler.h; that its steps have level 0's bits is tested with all the
// other ways to run (invariance_test.cc, graph_equality_test.cc).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "engine/replay/graph_backend.h"
#include "engine/runner/graph_auto.h"
#include "engine/verify/step_verifier.h"
#include "tests/engine/small_model.h"

namespace reprise::engine {
namespace {

using graph::DecomposingCompiler;
using graph::FusionGroup;
using graph::Graph;
using graph::GroupRun;
using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

EngineConfig compiled_config() {
  EngineConfig config = small_engine_config();
  config.graph = {.graph_opt_level = 2, .use_cudagraph = true, .capture_before_ready = true};
  return config;
}

bool has_op(const Graph& graph, const FusionGroup& group, std::string_view op) {
  return std::any_of(group.nodes.begin(), group.nodes.end(),
                     [&](graph::NodeId node) { return graph.node(node).schema->name == op; });
}

const std::vector<Request>& requests() {
  static const std::vector<Request> some = {
      {small_prompt(20), {.temperature = 0, .max_tokens = 8, .logprobs = 2}},
      {small_prompt(7, 3), {.temperature = 1, .max_tokens = 5}}};
  return some;
}

void expect_same_tokens(SmallEngine& engine) {
  SmallEngine plain;
  const Results expected = plain.run(requests());
  const Results found = engine.run(requests());
  ASSERT_EQ(found.size(), expected.size());
  for (const auto& [key, result] : expected) {
    EXPECT_EQ(found.at(key).error, "");
    EXPECT_EQ(found.at(key).token_ids, result.token_ids);
  }
}

TEST(Compiled, GroupsHoldNodesWithEffectsAloneAndCoverTheRest) {
  SmallEngine engine(compiled_config());
  const std::vector<GroupRun>& groups = engine.engine.graph().graphs().groups;
  ASSERT_FALSE(groups.empty());
  size_t nodes = 0;
  for (const GroupRun& group : groups) {
    EXPECT_EQ(group.failure, "");
    EXPECT_THAT(group.kernel, HasSubstr("compiled_"));
    nodes += group.ops.size();
    if (group.ops.size() > 1) {
      EXPECT_THAT(group.ops, testing::Not(Contains(AnyOf(HasSubstr("kv_write"), HasSubstr("sample")))));
    }
  }
  // Of a layer, what stands before the write of the cache is one group, the write another, what follows a third.
  EXPECT_GT(nodes, groups.size());
  for (const graph::Node& node : engine.engine.graph().graphs().step.nodes)
    EXPECT_TRUE(node.schema->generated != nullptr || node.schema->kind == ops::OpKind::opaque)
        << node.schema->name;
  expect_same_tokens(engine);
  EXPECT_GT(engine.engine.stats().steps.replayed, 0);
}

TEST(Compiled, AGroupThatFailsRunsNodeByNodeAndIsNamed) {
  SmallEngine engine(compiled_config(), DType::f32, Isa::scalar, 1, "LlamaForCausalLM",
                     [](DecomposingCompiler& compiler) {
                       compiler.before_compile = [](const Graph& graph, const FusionGroup& group) {
                         if (has_op(graph, group, "paged_attention")) throw Error("the tool chain is tired");
                       };
                     });
  const std::vector<GroupRun>& groups = engine.engine.graph().graphs().groups;
  EXPECT_THAT(groups, Contains(AllOf(testing::Field(&GroupRun::failure, "the tool chain is tired"),
                                     testing::Field(&GroupRun::kernel, ""),
                                     testing::Field(&GroupRun::ops, Contains("paged_attention")))));
  EXPECT_THAT(groups, Contains(testing::Field(&GroupRun::failure, "")));
  expect_same_tokens(engine);
}

TEST(Compiled, AWrongKernelIsFoundAtStartAndItsStepsRunWithoutIt) {
  EngineConfig config = compiled_config();
  config.graph.verify.startup = true;
  SmallEngine engine(
      config, DType::f32, Isa::scalar, 1, "LlamaForCausalLM", [](DecomposingCompiler& compiler) {
        compiler.also_accepts = [](const Graph& graph, const FusionGroup& group) {
          return group.nodes.size() == 1 && graph.node(group.nodes[0]).schema->name == "silu_mul";
        };
        compiler.wrong = true;
      });
  EXPECT_THAT(engine.engine.problems(),
              Contains(AllOf(HasSubstr("first in op 'compiled_0' of layer 'model.layers.0.mlp'"),
                             HasSubstr("differs from the model's own code"))));
}

TEST(Compiled, WhileServingSampledStepsAreThoseOfTheModelsOwnCode) {
  EngineConfig config = compiled_config();
  config.graph.verify.sample = 1;
  SmallEngine engine(config, DType::f32, Isa::scalar, 1, "LlamaForCausalLM",
                     [](DecomposingCompiler& compiler) { compiler.wrong = true; });
  expect_same_tokens(engine);
  EXPECT_GT(engine.engine.verified().differing, 0);
}

TEST(Compiled, ACompilerForAnotherLevelIsRefused) {
  ThreadTeam team(1);
  TestDevice device(team, Isa::scalar);
  DecomposingCompiler other(DeviceKind::cpu, "avx2");
  const auto start = [&](EngineServices services) {
    try {
      Engine engine(small_model(team, device), services, compiled_config(), [](const OutputEvent&) {});
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(
      start({device, &other}),
      "[graph] the compiler decompose makes kernels for cpu avx2, but the device is cpu scalar; make one "
      "for it");
  EXPECT_THAT(start({device}), HasSubstr("\"graph_opt_level\" is 2, but this build has no compiler"));
}

TEST(Compiled, AutoMeasuresItToo) {
  ThreadTeam team(1);
  TestDevice device(team, Isa::scalar);
  DecomposingCompiler compiler(device);
  EngineConfig config = small_engine_config();
  config.graph.choose_level = true;
  const auto model = small_model(team, device);
  const AutoChoice with = choose_graph_config(*model, {device, &compiler}, config.resolved());
  const AutoChoice without = choose_graph_config(*model, EngineServices(device), config.resolved());
  EXPECT_THAT(with.table, Contains(HasSubstr("compiled")));
  EXPECT_THAT(without.table, testing::Not(Contains(HasSubstr("compiled"))));
}

}  // namespace
}  // namespace reprise::engine
