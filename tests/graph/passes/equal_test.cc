// A pass may not change a bit: families and random programs, run before and after each pass alone, after each
// pass of the list in its order, and with all of them. How many launches a layer that saves is printed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

#include "core/error.h"
#include "device/cpu/cpu_device.h"
#include "device/cpu/isa_select.h"
#include "graph/constant_folder.h"
#include "graph/passes/pass.h"
#include "graph/text.h"
#include "graph/verify.h"
#include "tests/graph/decomposing_compiler.h"
#include "tests/graph/passes/random_program.h"
#include "tests/graph/passes/run_graph.h"

namespace reprise::graph {
namespace {

constexpr int64_t kMaxModelLen = 64;  // of StepBuffers

Graph trace_family(const models::Model& model, const StepBuffers& buffers, bool with_hidden) {
  return trace(
      model.config().architecture, buffers.named(),
      [&](const Tensor& tensor) { return buffers.name_of_state(tensor); },
      [&] {
        const models::ForwardOutput output = model.forward(buffers.input());
        std::vector<NamedTensor> outputs = {{"logits", output.logits}};
        if (with_hidden) outputs.push_back({"hidden", output.hidden});
        return outputs;
      });
}

using Changes = std::map<std::string_view, int>;  // by pass: graphs that it changed

// Each pass alone on the graph as it was traced, and then one after the other.
void expect_equal_after_passes(const Graph& traced, StepBuffers& buffers, Stream& stream,
                               const std::string& what, Changes* changes = nullptr) {
  EagerFolder folder(stream);
  DecomposingCompiler compiler(stream.device());
  PassContext context{.folder = &folder, .max_model_len = kMaxModelLen, .compiler = &compiler};
  const Outcome expected = outcome_of(traced, buffers, stream);
  Graph in_order = traced;
  for (const Pass& pass : pass_list()) {
    Graph alone = traced;
    for (Graph* graph : {&alone, &in_order}) {
      const Graph before = *graph;
      if (!pass.run(*graph, context)) continue;
      if (changes != nullptr) ++(*changes)[pass.name];
      ASSERT_THAT(problems_of(*graph, &before), testing::IsEmpty()) << pass.name << " of\n" << print(before);
      const std::string found = difference(expected, outcome_of(*graph, buffers, stream));
      ASSERT_EQ(found, "") << what << ", " << (graph == &alone ? "only " : "up to ") << pass.name << " of\n"
                           << print(before) << "\nwhich became\n"
                           << print(*graph);
    }
  }
}

// Levels whose kernels differ; the best of the machine and the one without vectors.
std::vector<Isa> levels() {
  const Isa best = cpu::available_isas().back();
  return best == Isa::scalar ? std::vector{best} : std::vector{Isa::scalar, best};
}

class EqualFamily : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(All, EqualFamily, testing::ValuesIn(kFamilies),
                         [](const auto& info) { return info.param; });

TEST_P(EqualFamily, EachPassLeavesTheBits) {
  ThreadTeam team(1);
  for (const DType dtype : {DType::f32, DType::bf16}) {
    CpuDevice home(team, Isa::scalar);
    const auto model = models::load_model(step_config(GetParam()), nullptr, dtype, team, home);
    StepBuffers buffers(*model);
    for (const Isa isa : levels()) {
      CpuDevice device(team, isa);
      Stream stream(device);
      const bool with_hidden = isa == Isa::scalar;  // prune_rows has nothing to do then
      expect_equal_after_passes(trace_family(*model, buffers, with_hidden), buffers, stream,
                                fmt::format("{} {}", name_of(dtype), name_of(isa)));
    }
  }
}

// Nodes are launches here: no op of these graphs launches twice (attention does beyond one partition).
TEST_P(EqualFamily, FewerLaunchesALayer) {
  ThreadTeam team(1);
  const auto nodes_of = [&](int64_t layers, bool optimised) {
    weights::ModelConfig config = step_config(GetParam());
    config.num_layers = layers;
    config.layer_has_window.assign(config.layer_has_window.empty() ? 0 : static_cast<size_t>(layers), true);
    CpuDevice device(team, Isa::scalar);
    const auto model = models::load_model(config, nullptr, DType::f32, team, device);
    StepBuffers buffers(*model);
    Stream stream(device);
    EagerFolder folder(stream);
    PassContext context{.folder = &folder, .max_model_len = kMaxModelLen};
    Graph graph = trace_family(*model, buffers, false);
    if (optimised) run_passes(graph, context);
    return graph.nodes.size();
  };
  const size_t before = nodes_of(3, false) - nodes_of(2, false);
  const size_t after = nodes_of(3, true) - nodes_of(2, true);
  fmt::print("{}: {} launches a layer at level 0, {} at level 1; beside the layers {} and {}\n", GetParam(),
             before, after, nodes_of(2, false) - 2 * before, nodes_of(2, true) - 2 * after);
  EXPECT_EQ(before, GetParam() == "Qwen3ForCausalLM" ? 19u : 17u);
  EXPECT_EQ(after, 9u);
}

class EqualProgram : public testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(All, EqualProgram, testing::Values(DType::f32, DType::bf16),
                         [](const auto& info) { return std::string(name_of(info.param)); });

// REPRISE_SEEDS says how many; a failing one is named, and REPRISE_SEED runs it alone.
TEST_P(EqualProgram, EachPassLeavesTheBits) {
  const auto number = [](const char* variable, uint64_t otherwise) {
    const char* text = std::getenv(variable);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
  };
  const uint64_t only = number("REPRISE_SEED", 0);
  const uint64_t count = only != 0 ? 1 : number("REPRISE_SEEDS", 40);
  const HollowModel hollow(step_config("LlamaForCausalLM"), GetParam());
  ThreadTeam team(1);
  Changes changes;
  for (uint64_t seed = std::max<uint64_t>(only, 1), i = 0; i < count; ++seed, ++i) {
    StepBuffers buffers(*hollow.model);
    CpuDevice device(team, levels()[seed % levels().size()]);
    Stream stream(device);
    RandomProgram program(seed, GetParam(), buffers.input());
    const Graph traced = trace(
        "random", buffers.named(), [&](const Tensor& tensor) { return buffers.name_of_state(tensor); },
        [&] { return program(); });
    expect_equal_after_passes(traced, buffers, stream, fmt::format("seed {}", seed), &changes);
    if (HasFatalFailure()) return;
  }
  if (count < 40) return;
  for (const Pass& pass : pass_list()) EXPECT_GE(changes[pass.name], 5) << pass.name << " had nothing to do";
}

}  // namespace
}  // namespace reprise::graph
