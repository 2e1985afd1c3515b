// A traced graph, planned and executed, gives the bits that the model's own code gives op by op.
#include "graph/executor.h"

#include <gmock/gmock.h>

#include <cstring>

#include "core/capture_rules.h"
#include "core/error.h"
#include "device/cpu/cpu_device.h"
#include "device/cpu/isa_select.h"
#include "graph/constant_folder.h"
#include "graph/text.h"
#include "graph/tracer.h"
#include "ops/elementwise.h"
#include "ops/registry.h"
#include "tests/graph/sample_graphs.h"
#include "tests/graph/step_model.h"

namespace reprise::graph {
namespace {

using testing::HasSubstr;

// What a launch was, without addresses.
struct SeenLaunch {
  std::string op, layer, kernel;
  std::vector<std::tuple<BufferKind, uint64_t, int64_t>> buffers;
  bool operator==(const SeenLaunch&) const = default;
};

class SeeingSink final : public LaunchSink {
 public:
  void append(const Launch& launch) override {
    SeenLaunch& seen = launches.emplace_back();
    seen.op = OpScope::current();
    seen.layer = launch.layer;
    seen.kernel = launch.kernel.name;
    for (const BufferArg& arg : launch.buffers) {
      if (arg.buffer == nullptr) continue;
      seen.buffers.emplace_back(arg.buffer->kind, arg.buffer->id, arg.offset);
      if (arg.buffer->kind == BufferKind::arena) addresses.push_back(arg.buffer->data);
    }
  }
  std::string_view last_kernel() const override { return {}; }

  std::vector<SeenLaunch> launches;
  std::vector<std::byte*> addresses;  // of buffers in the arena
};

// A model run both ways, each with inputs and a cache of its own.
class BothWays {
 public:
  BothWays(const weights::ModelConfig& config, DType dtype, Isa isa, bool passes = false)
      : team_(2),
        device_(team_, isa),
        stream_(device_),
        model_(models::load_model(config, nullptr, dtype, team_, device_)),
        eager_(*model_),
        traced_(*model_),
        arena_(host_memory(), size_t{16} << 20),
        folder_(stream_),
        graph_(make_graph(passes)),
        plan_(plan_memory(graph_, StepBuffers::kLargest,
                          measure_workspaces(graph_, StepBuffers::kLargest, stream_))),
        memory_(host_memory(), plan_.bytes),
        executor_(graph_, plan_, memory_.data(), stream_) {}

  void clear() {
    eager_.clear();
    traced_.clear();
  }
  void add(int64_t seq, int64_t begin, int64_t tokens) {
    eager_.add(seq, begin, tokens);
    traced_.add(seq, begin, tokens);
  }

  // Runs the step both ways and compares hidden states, logits and the whole cache.
  void step(const std::string& what) {
    stream_.set_sizes(eager_.sizes());
    arena_.set_sizing(eager_.sizes());
    ops::EagerDispatcher dispatcher(stream_, arena_);
    models::ForwardOutput output;
    {
      const ops::DispatchScope scope(dispatcher);
      output = model_->forward(eager_.input());
    }
    executor_.run();
    expect_equal(output.hidden, executor_.output("hidden"), what + ", hidden");
    expect_equal(output.logits, executor_.output("logits"), what + ", logits");
    for (size_t i = 0; i < eager_.input().kv->layers.size(); ++i) {
      expect_equal(eager_.input().kv->layers[i].keys, traced_.input().kv->layers[i].keys, what + ", keys");
      expect_equal(eager_.input().kv->layers[i].values, traced_.input().kv->layers[i].values,
                   what + ", values");
    }
  }

  Executor& executor() { return executor_; }
  Stream& stream() { return stream_; }
  const Graph& graph() const { return graph_; }
  const MemoryPlan& plan() const { return plan_; }
  const MemoryRange& memory() const { return memory_; }

 private:
  Graph make_graph(bool passes) {
    Graph graph = trace_model(*model_, traced_);
    if (passes) {
      PassContext context{.folder = &folder_, .max_model_len = 64};
      run_passes(graph, context);
    }
    return graph;
  }

  void expect_equal(const Tensor& a, const Tensor& b, const std::string& what) const {
    ASSERT_EQ(a.shape, b.shape) << what;
    const auto bytes = static_cast<size_t>(a.extent().eval(stream_.sizes()));
    EXPECT_EQ(std::memcmp(a.data(), b.data(), bytes), 0) << what;
    EXPECT_NE(std::count(a.data(), a.data() + bytes, std::byte{0}), static_cast<ptrdiff_t>(bytes))
        << what << " is all zero: nothing was computed";
  }

  ThreadTeam team_;
  CpuDevice device_;
  Stream stream_;
  std::unique_ptr<const models::Model> model_;
  StepBuffers eager_, traced_;
  StepArena arena_;
  EagerFolder folder_;
  Graph graph_;
  MemoryPlan plan_;
  MemoryRange memory_;
  Executor executor_;
};

void run_steps(BothWays& both, const std::string& what) {
  both.add(0, 0, 7);
  both.add(3, 0, 20);
  both.step(what + ": prefill");
  both.clear();
  both.add(0, 7, 1);
  both.add(3, 20, 1);
  both.step(what + ": decode of two");
  both.clear();
  both.add(3, 21, 1);
  both.add(5, 0, 40);
  both.add(0, 8, 1);
  both.step(what + ": mixed");
  both.clear();
  both.add(5, 40, 1);
  both.step(what + ": decode of one");
}

class ExecutedFamily : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(All, ExecutedFamily, testing::ValuesIn(kFamilies),
                         [](const auto& info) { return info.param; });

TEST_P(ExecutedFamily, GivesTheBitsOfTheModelsOwnCode) {
  for (const DType dtype : {DType::f32, DType::bf16})
    for (const Isa isa : {Isa::scalar, cpu::available_isas().back()}) {
      BothWays both(step_config(GetParam()), dtype, isa);
      run_steps(both, fmt::format("{} {}", name_of(dtype), name_of(isa)));
    }
}

// The same after every pass: level 1 is level 0 in fewer launches.
TEST_P(ExecutedFamily, GivesTheSameBitsAfterThePasses) {
  for (const DType dtype : {DType::f32, DType::bf16})
    for (const Isa isa : {Isa::scalar, cpu::available_isas().back()}) {
      BothWays both(step_config(GetParam()), dtype, isa, true);
      EXPECT_LE(both.graph().nodes.size(), 30u);
      EXPECT_THAT(problems_of(both.plan(), both.graph()), testing::IsEmpty());
      run_steps(both, fmt::format("passes, {} {}", name_of(dtype), name_of(isa)));
    }
}

// Attention in partitions takes planned workspace.
TEST(Executor, ServesWorkspace) {
  weights::ModelConfig config = step_config("LlamaForCausalLM");
  ThreadTeam team(4);
  for (const DType dtype : {DType::f32, DType::bf16}) {
    CpuDevice device(team, Isa::scalar);
    const auto model = models::load_model(config, nullptr, dtype, team, device);
    Stream stream(device);
    StepBuffers a(*model, {4, 4, 4}, 256), b(*model, {4, 4, 4}, 256);
    const Graph graph = trace_model(*model, b);
    const std::vector<Workspace> workspaces = measure_workspaces(graph, {4, 4, 4}, stream);
    EXPECT_EQ(workspaces.size(), 2u);
    const MemoryPlan plan = plan_memory(graph, {4, 4, 4}, workspaces);
    const MemoryRange memory(host_memory(), plan.bytes);
    Executor executor(graph, plan, memory.data(), stream);
    StepArena arena(host_memory(), size_t{16} << 20);
    for (int64_t position = 0; position < 140; ++position) {  // crosses partitions
      for (StepBuffers* buffers : {&a, &b}) {
        buffers->clear();
        buffers->add(1, position, 1);
      }
      stream.set_sizes(a.sizes());
      arena.set_sizing(a.sizes());
      ops::EagerDispatcher dispatcher(stream, arena);
      const ops::DispatchScope scope(dispatcher);
      const models::ForwardOutput output = model->forward(a.input());
      executor.run();
      ASSERT_EQ(std::memcmp(output.logits.data(), executor.output("logits").data(), 101 * 4), 0) << position;
    }
    // Without the plan it says what is missing.
    Executor unplanned(graph, plan_memory(graph, {4, 4, 4}, {}), memory.data(), stream);
    try {
      unplanned.run();
      FAIL();
    } catch (const InternalError& error) {
      EXPECT_THAT(error.what(),
                  HasSubstr("op 'paged_attention' of layer 'model.layers.0.self_attn' asks for a workspace"));
    }
  }
}

TEST(Executor, RunsInParts) {
  BothWays whole(step_config("Qwen3ForCausalLM"), DType::f32, Isa::scalar);
  whole.add(1, 0, 5);
  whole.step("whole");
  std::vector<std::byte> logits(101 * 4);
  std::memcpy(logits.data(), whole.executor().output("logits").data(), logits.size());
  std::memset(whole.memory().data(), 0xff, whole.memory().bytes());
  const auto nodes = static_cast<NodeId>(whole.graph().nodes.size());
  whole.executor().run(0, 9);
  whole.executor().run(9, 9);
  whole.executor().run(9, nodes);
  EXPECT_EQ(std::memcmp(logits.data(), whole.executor().output("logits").data(), logits.size()), 0);
}

// While the stream records: nothing runs, launches carry op, layer and their place in the arena, and a dry
// executor gives the same recording without addresses.
TEST(Executor, RecordsTheSameWithAndWithoutMemory) {
  BothWays both(step_config("LlamaForCausalLM"), DType::bf16, Isa::scalar);
  Executor dry(both.graph(), both.plan(), nullptr, both.stream());
  both.stream().set_sizes({3, 3});
  std::memset(both.memory().data(), 0x5a, both.memory().bytes());
  SeeingSink real_sink, dry_sink;
  both.stream().begin_recording(real_sink);
  both.executor().run();
  both.stream().end_recording();
  both.stream().begin_recording(dry_sink);
  dry.run();
  both.stream().end_recording();
  EXPECT_EQ(std::count(both.memory().data(), both.memory().data() + both.memory().bytes(), std::byte{0x5a}),
            static_cast<ptrdiff_t>(both.memory().bytes()));
  ASSERT_EQ(real_sink.launches.size(), both.graph().nodes.size());
  EXPECT_EQ(real_sink.launches, dry_sink.launches);
  for (std::byte* address : dry_sink.addresses) EXPECT_EQ(address, nullptr);
  size_t at = 0;
  for (size_t i = 0; i < real_sink.launches.size(); ++i) {
    const SeenLaunch& launch = real_sink.launches[i];
    EXPECT_EQ(launch.op, both.graph().nodes[i].schema->name);
    EXPECT_EQ(launch.layer, both.graph().nodes[i].layer);
    for (const auto& [kind, id, offset] : launch.buffers)
      if (kind == BufferKind::arena) {
        EXPECT_EQ(both.memory().data() + id, real_sink.addresses[at++]);
      }
  }
  EXPECT_THROW(dry.run(), InternalError);
}

// Asking it could look at bytes that aren't there.
TEST(Executor, AnOpThatCannotBeCapturedIsNotAsked) {
  static const ops::OpSchema peeks{
      .name = "test_peeks",
      .kind = ops::OpKind::opaque,
      .capturable = false,
      .infer = [](const ops::OpCall&, ops::OutputSpecs& outputs) { outputs.add(DType::f32, Shape{4}); }};
  ops::register_op(peeks);
  ops::register_launch(peeks, DeviceKind::cpu,
                       {[](const ops::OpCall&, Stream& stream, std::span<const Tensor> outputs,
                           ops::WorkspaceAllocator&) { stream.read_back(outputs[0]); }});
  const Graph graph = parse("graph g {\n %0 = test_peeks() : f32[4]\n return y = %0\n}");
  ThreadTeam team(1);
  CpuDevice device(team, Isa::scalar);
  Stream stream(device);
  EXPECT_THAT(measure_workspaces(graph, {1, 1}, stream), testing::IsEmpty());
  const MemoryPlan plan = plan_memory(graph, {1, 1}, {});
  const MemoryRange memory(host_memory(), plan.bytes);
  Executor executor(graph, plan, memory.data(), stream);
  EXPECT_NO_THROW(executor.run());
  SeeingSink sink;
  stream.begin_recording(sink);
  EXPECT_THROW(executor.run(), Error);
  stream.end_recording();
}

// Workspace of an op that can't be captured, and of one that waits before it asks: two buffers, of T and of S
// rows, filled to their ends.
void plan_two(const ops::OpCall&, ops::WorkspaceAllocator& workspace) {
  workspace.workspace(DType::i32, Shape{kTokens, 32});
  workspace.workspace(DType::i8, Shape{kSeqs, 64});
}
void wait_and_fill_two(const ops::OpCall& call, Stream& stream, std::span<const Tensor> outputs,
                       ops::WorkspaceAllocator& workspace) {
  stream.synchronize();  // refused while a stream records
  const Tensor a = workspace.workspace(DType::i32, Shape{kTokens, 32});
  const Tensor b = workspace.workspace(DType::i8, Shape{kSeqs, 64});
  stream.fill_bytes(a, 0xff);
  stream.fill_bytes(b, 0xff);
  stream.copy(call.input(0), outputs[0]);
}
constexpr std::string_view kX[] = {"x"};
constexpr ops::OpSchema fills_two(std::string_view name, bool capturable) {
  return {.name = name,
          .kind = ops::OpKind::opaque,
          .input_names = kX,
          .capturable = capturable,
          .infer = [](const ops::OpCall& call, ops::OutputSpecs& outputs) {
            outputs.add(call.input(0).dtype, call.input(0).shape);
          }};
}

TEST(Executor, PlansTheWorkspaceOfOpsThatCannotBeAsked) {
  static constexpr ops::OpSchema uncapturable = fills_two("test_fills_uncapturable", false);
  static constexpr ops::OpSchema waits = fills_two("test_fills_waits", true);
  static constexpr ops::OpSchema unplanned = fills_two("test_fills_unplanned", false);
  for (const ops::OpSchema* op : {&uncapturable, &waits, &unplanned}) {
    ops::register_op(*op);
    ops::register_launch(*op, DeviceKind::cpu, {wait_and_fill_two, op == &unplanned ? nullptr : plan_two});
  }
  ThreadTeam team(2);
  CpuDevice device(team, Isa::scalar);
  Stream stream(device);
  const StepSizes largest{5, 3, 3};
  for (const ops::OpSchema* op : {&uncapturable, &waits, &unplanned}) {
    SCOPED_TRACE(op->name);
    HeapStore store(BufferKind::input, host_memory());
    Tensor x = store.allocate(DType::f32, {largest.tokens, 16});
    for (int64_t i = 0; i < largest.tokens * 16; ++i) x.as<float>()[i] = static_cast<float>(i);
    x.shape = Shape{kTokens, 16};
    // Values that live across the op lie beside its workspace.
    const Graph graph = trace("g", {{"x", x}}, {}, [&] {
      const Tensor before = ops::add(x, x);
      const Tensor middle = ops::dispatch_one(ops::OpCall(*op, {&before}));
      return std::vector<NamedTensor>{{"y", ops::add(middle, before)}};
    });
    const std::vector<Workspace> workspaces = measure_workspaces(graph, largest, stream);
    const MemoryPlan plan = plan_memory(graph, largest, workspaces);
    MemoryRange memory(host_memory(), plan.bytes);
    Executor executor(graph, plan, memory.data(), stream);
    stream.set_sizes(largest);
    if (op == &unplanned) {
      EXPECT_THAT(workspaces, testing::IsEmpty());
      try {
        executor.run();
        FAIL();
      } catch (const InternalError& error) {
        EXPECT_THAT(error.what(),
                    testing::AllOf(HasSubstr("'test_fills_unplanned'"), HasSubstr("plan_workspace")));
      }
      continue;
    }
    ASSERT_EQ(workspaces.size(), 2u);
    EXPECT_EQ(workspaces[0].bytes, 5u * 32 * 4);
    EXPECT_EQ(workspaces[1].bytes, 3u * 64);
    EXPECT_THAT(problems_of(plan, graph), testing::IsEmpty());
    EXPECT_GT(plan.bytes, plan_memory(graph, largest, {}).bytes);
    executor.run();
    for (int64_t i = 0; i < largest.tokens * 16; ++i)
      ASSERT_EQ(executor.output("y").as<float>()[i], 4 * static_cast<float>(i));
  }
}

TEST(Executor, RefusesWhatItCannotRun) {
  BothWays both(step_config("LlamaForCausalLM"), DType::f32, Isa::scalar);
  try {
    both.executor().output("logit");
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("'LlamaForCausalLM' returns no 'logit'; it returns hidden, logits"));
  }
  both.stream().set_sizes({49, 1});
  EXPECT_THROW(both.executor().run(), InternalError);
  both.stream().set_sizes({1, 9});
  EXPECT_THROW(both.executor().run(), InternalError);
  const Graph parsed = parse(kAttentionText);
  EXPECT_THROW(Executor(parsed, plan_memory(parsed, {4, 4}, {}), both.memory().data(), both.stream()),
               InternalError);
}

}  // namespace
}  // namespace reprise::graph
