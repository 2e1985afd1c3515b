// Plans of random graphs never overlap, checked three ways: by problems_of, by running each plan against a
// memory that knows what every line holds, and with faults that the checks must find.
#include "graph/memory_plan.h"

#include <gmock/gmock.h>

#include <random>

#include "core/error.h"
#include "core/fault.h"
#include "device/cpu/cpu_device.h"
#include "graph/executor.h"
#include "graph/text.h"
#include "graph/verify.h"
#include "tests/graph/sample_graphs.h"
#include "tests/graph/step_model.h"

namespace reprise::graph {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

const ops::OpSchema kAnyOp{
    .name = "test_any", .kind = ops::OpKind::opaque, .may_share = {0xfff, 0xfff, 0xfff, 0xfff}};

struct RandomCase {
  Graph graph;
  std::vector<Workspace> workspaces;
  StepSizes largest;
};

// Any number of inputs and outputs, sizes in T, in S and constant, unused results, several returns, storage
// shared where that is allowed, workspaces.
RandomCase random_case(uint32_t seed) {
  std::mt19937 random(seed);
  const auto below = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  RandomCase c;
  c.largest = {1 + below(40), 1 + below(8)};
  Graph& graph = c.graph;
  const int nodes = 1 + below(50);
  std::vector<ValueId> results;
  for (int i = 0; i < nodes; ++i) {
    Node node{.schema = &kAnyOp};
    for (int k = below(4); k > 0 && !results.empty(); --k) {
      // Mostly recent ones, as in models.
      const size_t back = static_cast<size_t>(below(below(4) == 0 ? static_cast<int>(results.size()) : 4));
      node.inputs.push_back(results[results.size() - 1 - std::min(back, results.size() - 1)]);
    }
    for (int k = 1 + below(3); k > 0; --k) {
      const Dim rows = below(5) == 0   ? Dim{below(3)}
                       : below(4) == 0 ? kSeqs
                       : below(4) == 0 ? kRows
                                       : kTokens;
      Value value{.dtype = below(2) == 0 ? DType::f32 : DType::bf16,
                  .shape = {rows, 1 + below(4) * below(40)},
                  .producer = i,
                  .output = static_cast<int>(node.outputs.size())};
      node.outputs.push_back(add_value(graph, std::move(value)));
    }
    results.insert(results.end(), node.outputs.begin(), node.outputs.end());
    graph.nodes.push_back(std::move(node));
    for (int k = below(8) - 5; k > 0; --k) c.workspaces.push_back({i, static_cast<size_t>(below(3000))});
  }
  for (int k = below(3); k > 0; --k)
    graph.outputs.push_back(
        {std::to_string(k), results[static_cast<size_t>(below(static_cast<int>(results.size())))]});
  const Uses uses = uses_of(graph);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    Node& node = graph.nodes[i];
    std::vector<ValueId> taken;
    for (size_t k = 0; k < node.outputs.size(); ++k)
      for (size_t j = 0; j < node.inputs.size(); ++j) {
        const ValueId input = node.inputs[j];
        const Value& from = graph.value(input);
        const Value& to = graph.value(node.outputs[k]);
        if (node.shares[k] == kNone && below(3) > 0 &&
            uses.nodes[static_cast<size_t>(input)].back() == static_cast<NodeId>(i) &&
            !uses.returned[static_cast<size_t>(input)] && to.shape == from.shape && to.dtype == from.dtype &&
            std::find(taken.begin(), taken.end(), input) == taken.end()) {
          node.shares[k] = static_cast<int8_t>(j);
          taken.push_back(input);
        }
      }
  }
  return c;
}

// Runs the plan against a memory whose lines remember who wrote them last.
std::vector<std::string> simulate(const Graph& graph, const MemoryPlan& plan) {
  std::vector<std::string> wrong;
  std::vector<int32_t> line(plan.bytes / 64 + 1000, kNone);  // room for plans that are too small
  const auto lines = [&](int32_t place, ValueId value) {
    const Value& v = graph.value(value);
    const auto bytes = static_cast<size_t>(v.shape.elements().eval(plan.largest)) * size_of(v.dtype);
    const size_t begin = plan.placements[static_cast<size_t>(place)].offset / 64;
    return std::pair{begin, begin + (bytes + 63) / 64};
  };
  const auto expect = [&](ValueId value, const std::string& who) {
    const auto [begin, end] = lines(plan.placement_of[static_cast<size_t>(value)], value);
    for (size_t i = begin; i < end; ++i)
      if (line[i] != value)
        return wrong.push_back(fmt::format("{} finds {} in line {} of %{}", who, line[i], i, value));
  };
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    // A kernel uses its workspace while inputs are still read and outputs are written.
    for (const Placement& placement : plan.placements)
      if (placement.value == kNone && placement.first == static_cast<NodeId>(n))
        for (size_t i = placement.offset / 64; i < (placement.offset + placement.bytes) / 64; ++i)
          line[i] = -2;
    for (size_t k = 0; k < node.outputs.size(); ++k)
      if (node.shares[k] == kNone) {
        const auto [begin, end] =
            lines(plan.placement_of[static_cast<size_t>(node.outputs[k])], node.outputs[k]);
        std::fill(line.begin() + static_cast<ptrdiff_t>(begin), line.begin() + static_cast<ptrdiff_t>(end),
                  node.outputs[k]);
      }
    for (const ValueId input : node.inputs) expect(input, fmt::format("node {}", n));
    for (size_t k = 0; k < node.outputs.size(); ++k) {
      const auto [begin, end] =
          lines(plan.placement_of[static_cast<size_t>(node.outputs[k])], node.outputs[k]);
      if (node.shares[k] != kNone)
        std::fill(line.begin() + static_cast<ptrdiff_t>(begin), line.begin() + static_cast<ptrdiff_t>(end),
                  node.outputs[k]);
    }
    for (const ValueId output : node.outputs) expect(output, fmt::format("node {} after itself", n));
  }
  for (const GraphOutput& output : graph.outputs) expect(output.value, "the end");
  return wrong;
}

TEST(MemoryPlan, RandomGraphsNeverOverlap) {
  size_t shared = 0;
  size_t worst = 0;
  for (uint32_t seed = 0; seed < 4000; ++seed) {
    const RandomCase c = random_case(seed);
    const MemoryPlan plan = plan_memory(c.graph, c.largest, c.workspaces);
    ASSERT_THAT(problems_of(plan, c.graph), IsEmpty()) << seed;
    ASSERT_THAT(simulate(c.graph, plan), IsEmpty()) << seed;
    ASSERT_GE(plan.bytes, live_bytes(plan)) << seed;
    for (const Node& node : c.graph.nodes)
      for (const int8_t share : node.shares) shared += share != kNone;
    if (live_bytes(plan) > 0) worst = std::max(worst, plan.bytes * 100 / live_bytes(plan));
  }
  EXPECT_GT(shared, 1000u);
  RecordProperty("worst_percent_of_live_bytes", static_cast<int>(worst));
  EXPECT_LT(worst, 200u);
}

// Both checks find a planner that has lost its way, in nearly every graph where that can matter.
TEST(MemoryPlan, SeededFaultsAreFound) {
  for (const Fault fault : {Fault::plan_ends_at_first_use, Fault::plan_sizes_for_one_token}) {
    int by_check = 0, by_simulation = 0;
    for (uint32_t seed = 0; seed < 200; ++seed) {
      const RandomCase c = random_case(seed);
      const FaultScope scope(fault);
      const MemoryPlan plan = plan_memory(c.graph, c.largest, c.workspaces);
      const bool found = !problems_of(plan, c.graph).empty();
      by_check += found;
      const bool damage = !simulate(c.graph, plan).empty();
      by_simulation += damage;
      EXPECT_TRUE(found || !damage) << "only the simulation saw the fault, at seed " << seed;
    }
    EXPECT_GT(by_check, 100) << static_cast<int>(fault);
    EXPECT_GT(by_simulation, 10) << static_cast<int>(fault);
  }
}

TEST(MemoryPlan, StateLiesOutsideAndSharesTakeTheirInputsPlace) {
  ops::register_op(mix_op());
  const Graph graph = parse(with(kAttentionText, "return hidden = %22",
                                 "%23 = test_mix(%22, %21) share(0: 1) : f32[T, 64]\n  return hidden = %23"));
  ASSERT_THAT(problems_of(graph), IsEmpty());
  const MemoryPlan plan = plan_memory(graph, {16, 4}, {{1, 100}});
  EXPECT_THAT(problems_of(plan, graph), IsEmpty());
  const auto place = [&](const std::string& name) {
    for (size_t i = 0; i < graph.values.size(); ++i)
      if (graph.values[i].name == name) return plan.placement_of[i];
    return int32_t{-2};
  };
  EXPECT_EQ(place("keys.0"), kNone);
  EXPECT_EQ(place("keys.0@1"), kNone);
  EXPECT_EQ(place("q"), kNone);
  EXPECT_EQ(place("23"), place("21"));
  EXPECT_NE(place("22"), place("21"));
  ASSERT_EQ(plan.placements.size(), 4u);  // 20, 21, 22, the workspace
  EXPECT_EQ(plan.placements[static_cast<size_t>(place("21"))].last, 5);
  EXPECT_EQ(plan.placements[static_cast<size_t>(place("22"))].last, 4);
  EXPECT_EQ(plan.placements[3].value, kNone);
  EXPECT_GE(plan.placements[3].bytes, 100u);
}

TEST(MemoryPlan, AStepOfNothingTakesNothing) {
  const Graph graph = parse(kAttentionText);
  const MemoryPlan plan = plan_memory(graph, {0, 0}, {});
  EXPECT_EQ(plan.bytes, 0u);
  EXPECT_THAT(problems_of(plan, graph), IsEmpty());
}

TEST(MemoryPlan, ProblemsAreNamed) {
  const Graph graph = parse(kAttentionText);
  const MemoryPlan good = plan_memory(graph, {16, 4}, {});
  ASSERT_THAT(problems_of(good, graph), IsEmpty());
  const auto broken = [&](const std::function<void(MemoryPlan&)>& damage) {
    MemoryPlan plan = good;
    damage(plan);
    return testing::PrintToString(problems_of(plan, graph));
  };
  EXPECT_THAT(broken([](MemoryPlan& p) { p.placements[1].offset = p.placements[0].offset; }),
              HasSubstr("overlap"));
  EXPECT_THAT(broken([](MemoryPlan& p) { p.placements[1].offset += 8; }), HasSubstr("not aligned"));
  EXPECT_THAT(broken([](MemoryPlan& p) { p.placements[1].bytes = 64; }),
              HasSubstr("holds %21, which takes 4096"));
  EXPECT_THAT(broken([](MemoryPlan& p) { p.bytes -= 64; }), HasSubstr("beyond the arena"));
  EXPECT_THAT(broken([](MemoryPlan& p) { p.placements[2].last = 3; }),
              HasSubstr("is gone when the graph returns"));
  EXPECT_THAT(broken([](MemoryPlan& p) { p.placements[0].last = 1; }),
              HasSubstr("is gone when node 2 reads %20"));
  EXPECT_THAT(broken([](MemoryPlan& p) { p.placements[1].first = 3; }), HasSubstr("which node 2 defines"));
  EXPECT_THAT(broken([&](MemoryPlan& p) { p.placement_of.back() = kNone; }), HasSubstr("%22 has no storage"));
  EXPECT_THAT(broken([&](MemoryPlan& p) { p.placement_of.back() = 1; }),
              HasSubstr("the place of another value"));
  EXPECT_THAT(broken([&](MemoryPlan& p) { p.placement_of[11] = 0; }),
              HasSubstr("is state and lies in the arena"));
  EXPECT_THAT(broken([&](MemoryPlan& p) { p.placement_of.pop_back(); }), HasSubstr("a plan of"));
}

// What real models need: close to what their widest node finds alive.
TEST(MemoryPlan, RealModelsNeedLittleMoreThanWhatIsAlive) {
  ThreadTeam team(16);  // so many that steps of few tokens are split
  CpuDevice device(team, Isa::scalar);
  Stream stream(device);
  std::vector<weights::ModelConfig> configs = {config_06b(), config_15m()};
  for (const std::string& family : kFamilies) configs.push_back(step_config(family));
  for (const weights::ModelConfig& config : configs) {
    const HollowModel hollow(config, DType::bf16);
    for (const int64_t partition : {int64_t{32768}, int64_t{64}}) {
      const StepSizes largest{512, 16, 16};
      const StepBuffers buffers(*hollow.model, largest, 1024, partition);
      const Graph graph = trace_model(*hollow.model, buffers);
      const std::vector<Workspace> workspaces = measure_workspaces(graph, largest, stream);
      EXPECT_EQ(workspaces.size(), partition == 64 ? static_cast<size_t>(config.num_layers) : 0u);
      const MemoryPlan plan = plan_memory(graph, largest, workspaces);
      EXPECT_THAT(problems_of(plan, graph), IsEmpty());
      EXPECT_LE(static_cast<double>(plan.bytes), 1.3 * static_cast<double>(live_bytes(plan)))
          << config.architecture << " " << config.hidden_size;
    }
  }
}

}  // namespace
}  // namespace reprise::graph
