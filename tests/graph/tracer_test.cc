// Models of every family become sound graphs, whose text is a fixed point; code that looks at values, or
// takes what a graph can't say, is refused by name.
#include "graph/tracer.h"

#include <gmock/gmock.h>

#include "core/capture_error.h"
#include "core/capture_rules.h"
#include "core/error.h"
#include "graph/text.h"
#include "graph/verify.h"
#include "ops/attention.h"
#include "ops/elementwise.h"
#include "ops/embedding.h"
#include "ops/registry.h"
#include "tests/graph/step_model.h"

namespace reprise::graph {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class TracedFamily : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(All, TracedFamily, testing::ValuesIn(kFamilies),
                         [](const auto& info) { return info.param; });

TEST_P(TracedFamily, TracePrintParsePrintIsAFixedPoint) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const HollowModel hollow(step_config(GetParam()), dtype);
    const StepBuffers buffers(*hollow.model);
    const Graph graph = trace_model(*hollow.model, buffers);
    const std::string text = print(graph);
    const Graph parsed = parse(text);
    EXPECT_EQ(print(parsed), text);
    EXPECT_THAT(problems_of(parsed), testing::IsEmpty());
    EXPECT_THAT(problems_of(parsed, &graph), testing::IsEmpty());
  }
}

TEST(Tracer, SaysWhatTheModelDoes) {
  const HollowModel hollow(step_config("Qwen3ForCausalLM"), DType::bf16);
  const StepBuffers buffers(*hollow.model);
  const Graph graph = trace_model(*hollow.model, buffers);
  const std::string text = print(graph);
  EXPECT_THAT(text, HasSubstr("graph Qwen3ForCausalLM {\n  input %token_ids : i32[T]\n"));
  EXPECT_THAT(text, HasSubstr("  input %block_tables : i32[S, 4]\n"));
  EXPECT_THAT(text, HasSubstr("  state %keys.1 : bf16[33, 512]\n"));
  EXPECT_THAT(text, HasSubstr("bf16 panels[104, 72]\n"));
  EXPECT_THAT(text, HasSubstr("%keys.1@1, %values.1@1 = kv_write("));
  EXPECT_THAT(text, HasSubstr(": bf16[T, 96]  # model.layers.1.self_attn"));
  EXPECT_THAT(text, HasSubstr(": f32[R, 101]  # lm_head"));
  // Embedding, angles, 2 layers of 19 ops, norm, gather, head.
  EXPECT_EQ(graph.nodes.size(), 2u + 2 * 19 + 3);
  for (size_t i = 0; i < graph.values.size(); ++i) {
    const Value& value = graph.values[i];
    EXPECT_EQ(value.traced, value.kind == ValueKind::result ? static_cast<int32_t>(i) : kNone);
    EXPECT_EQ(static_cast<bool>(value.tensor), value.kind != ValueKind::result) << value.name;
  }
}

TEST(Tracer, ATiedHeadIsTheSameWeight) {
  const HollowModel hollow(step_config("Qwen2ForCausalLM"), DType::f32);
  const StepBuffers buffers(*hollow.model);
  const Graph graph = trace_model(*hollow.model, buffers);
  ValueId embedding = kNone;
  for (const Node& node : graph.nodes)
    if (node.schema == &ops::kEmbedding) embedding = node.inputs[1];
  EXPECT_EQ(graph.nodes.back().inputs[1], embedding);
}

// Tensors of one element type for the cases below.
struct Buffers {
  Tensor state(const Shape& shape) { return states.allocate(DType::f32, shape); }
  HeapStore inputs{BufferKind::input, host_memory()}, states{BufferKind::state, host_memory()},
      weights{BufferKind::weight, host_memory()};
  Tensor x = [this] {
    Tensor tensor = inputs.allocate(DType::f32, Shape{8, 16});
    tensor.shape = Shape{kTokens, 16};
    return tensor;
  }();

  Graph run(const std::function<std::vector<NamedTensor>()>& body, const TensorNamer& namer = {}) {
    return trace("case", {{"x", x}}, namer, body);
  }
  template <typename Body>
  std::string refusal(const Body& body) {
    try {
      run(body);
    } catch (const Error& error) {
      return error.what();
    }
    return "traced";
  }
};

// Writes `into` in rows, and gives nothing.
const ops::OpSchema& store_op() {
  static constexpr std::string_view kInputs[] = {"x", "into"};
  static const ops::OpSchema schema{.name = "test_store",
                                    .kind = ops::OpKind::data_movement,
                                    .input_names = kInputs,
                                    .mutated_inputs = 0b10,
                                    .infer = [](const ops::OpCall&, ops::OutputSpecs&) {}};
  ops::register_op(schema);
  return schema;
}
void store(const Tensor& x, const Tensor& into, ops::Where where = ops::Where::current()) {
  ops::dispatch(ops::OpCall(store_op(), {&x, &into}, {}, where));
}

TEST(Tracer, EachWriteIsANewVersion) {
  Buffers b;
  const Tensor memory = b.state(Shape{8, 16});
  const Graph graph = b.run(
      [&] {
        store(b.x, memory);
        const Tensor once = ops::add(memory, memory);
        store(b.x, memory);
        return std::vector<NamedTensor>{{"once", once}, {"memory", memory}};
      },
      [](const Tensor&) { return "memory"; });
  EXPECT_THAT(print(graph), HasSubstr("  %memory@1 = test_store(%x, %memory) : f32[8, 16]"));
  EXPECT_THAT(print(graph), HasSubstr("= add(%memory@1, %memory@1)"));
  EXPECT_THAT(print(graph), HasSubstr("  %memory@2 = test_store(%x, %memory@1) : f32[8, 16]"));
  EXPECT_THAT(print(graph), HasSubstr("  return memory = %memory@2\n"));
  EXPECT_EQ(root_of(graph, graph.outputs[1].value), graph.node(0).inputs[1]);
}

TEST(Tracer, NamesWhereAnOpWasCalled) {
  Buffers b;
  const Tensor memory = b.state(Shape{8, 16});
  const Graph graph = b.run([&] {
    const LayerScope scope("layers.3.memory");
    store(b.x, memory);
    return std::vector<NamedTensor>{};
  });
  EXPECT_EQ(graph.nodes[0].layer, "layers.3.memory");
  EXPECT_THAT(graph.nodes[0].source, testing::MatchesRegex(".*tracer_test.cc:[0-9]+"));
  EXPECT_THAT(graph.nodes[0].source, testing::Not(testing::StartsWith("/")));
}

TEST(Tracer, NamesAreUniqueAndNumbersAreForResults) {
  Buffers b;
  const Tensor p = b.weights.allocate(DType::f32, Shape{16}), q = b.weights.allocate(DType::f32, Shape{16}),
               r = b.weights.allocate(DType::f32, Shape{16}), s = b.weights.allocate(DType::f32, Shape{16});
  const Graph graph = b.run(
      [&] {
        const Tensor first = ops::add(p, q);
        const Tensor second = ops::add(r, s);
        ops::add(first, second);
        return std::vector<NamedTensor>{};
      },
      [&](const Tensor& t) {
        if (t.buffer.get() == s.buffer.get()) return "";
        return t.buffer.get() == p.buffer.get() ? "5" : "same";
      });
  std::vector<std::string> names;
  for (const Value& value : graph.values) names.push_back(value.name);
  EXPECT_THAT(names, ElementsAre("x", "weight.1", "same", "3", "same.2", "weight.5", "6", "7"));
}

// A model whose code branches on what it computed.
TEST(Tracer, RefusesALookAtAValue) {
  Buffers b;
  try {
    b.run([&] {
      Tensor y;
      {
        const LayerScope scope("layers.2.router");
        y = ops::silu(b.x);
      }
      const LayerScope scope("layers.3");
      if (ops::host_read(y) != nullptr) y = ops::silu(y);
      return std::vector<NamedTensor>{{"y", y}};
    });
    FAIL() << "traced";
  } catch (const CaptureError& error) {
    EXPECT_EQ(error.rule(), CaptureRule::host_read);
    EXPECT_EQ(error.op(), "silu");
    EXPECT_EQ(error.layer(), "layers.2.router");
    EXPECT_THAT(error.what(), HasSubstr("host read"));
    EXPECT_THAT(error.what(), HasSubstr("f32[T, 16]"));
    EXPECT_THAT(error.what(), HasSubstr("silu"));
    EXPECT_THAT(error.what(), HasSubstr("layers.2.router"));
    EXPECT_THAT(error.what(), HasSubstr("compute with ops what depends on it"));
  }
}

TEST(Tracer, RefusesALookAtAnInputOrState) {
  Buffers b;
  EXPECT_THAT(b.refusal([&] {
    ops::host_read(b.x);
    return std::vector<NamedTensor>{};
  }),
              HasSubstr("looks at %x f32[T, 16], which the host fills before each step"));
  const Tensor memory = b.state(Shape{8, 16});
  EXPECT_THAT(b.refusal([&] {
    store(b.x, memory);
    ops::host_read(memory);
    return std::vector<NamedTensor>{};
  }),
              HasSubstr("at op 'test_store'"));
}

TEST(Tracer, AWeightIsTheSameInEveryStep) {
  Buffers b;
  const Tensor weight = b.weights.allocate(DType::f32, Shape{16});
  weight.as<float>()[3] = 2;
  b.run([&] {
    EXPECT_EQ(reinterpret_cast<const float*>(ops::host_read(weight))[3], 2);
    return std::vector<NamedTensor>{};
  });
}

TEST(Tracer, RefusesWhatAGraphCannotSay) {
  Buffers b;
  EXPECT_THAT(b.refusal([&] {
    Tensor y = ops::silu(b.x);
    y.shape = Shape{kTokens, 8};
    ops::silu(y);
    return std::vector<NamedTensor>{};
  }),
              HasSubstr("takes a view of %1 f32[T, 16]"));
  const Tensor weight = b.weights.allocate(DType::f32, Shape{8, 16});
  EXPECT_THAT(b.refusal([&] {
    store(b.x, weight);
    return std::vector<NamedTensor>{};
  }),
              HasSubstr("test_store of layer '' writes its input %weight.1, which is no state"));
  EXPECT_THAT(b.refusal([&] {
    store(b.x, ops::silu(b.x));
    return std::vector<NamedTensor>{};
  }),
              HasSubstr("which is no state"));
  EXPECT_THAT(b.refusal([&] {
    return std::vector<NamedTensor>{{"logits", Tensor{}}};
  }),
              HasSubstr("'logits' is an empty tensor"));
  StepArena arena(host_memory(), 1 << 16);
  arena.set_sizing({8, 1});
  const Tensor stale = arena.allocate(DType::f32, Shape{kTokens, 16});
  EXPECT_THAT(b.refusal([&] {
    ops::silu(stale);
    return std::vector<NamedTensor>{};
  }),
              HasSubstr("silu of layer '' takes a tensor [T, 16] that another step computed"));
}

TEST(Tracer, RefusesTwoViewsOfTheSameState) {
  Buffers b;
  const Tensor memory = b.state(Shape{8, 16});
  Tensor first = memory, second = memory, whole = memory;
  first.shape = second.shape = Shape{4, 16};
  second.offset = 4 * 16 * 4;
  const Graph halves = b.run([&] {
    store(b.x, first);
    store(b.x, second);
    return std::vector<NamedTensor>{};
  });
  EXPECT_EQ(halves.nodes[1].inputs[1], 3) << "halves that lie apart are two states";
  EXPECT_EQ(halves.value(3).kind, ValueKind::state);
  EXPECT_THAT(b.refusal([&] {
    store(b.x, second);
    store(b.x, whole);
    return std::vector<NamedTensor>{};
  }),
              HasSubstr("two views of the same bytes"));
}

}  // namespace
}  // namespace reprise::graph
