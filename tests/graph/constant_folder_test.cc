// Constants that are computed at start-up are what the op gives in a step.
#include "graph/constant_folder.h"

#include <gmock/gmock.h>

#include <array>
#include <cstring>

#include "core/error.h"
#include "core/thread_team.h"
#include "device/cpu/cpu_device.h"
#include "graph/text.h"
#include "ops/elementwise.h"
#include "ops/rotary.h"

namespace reprise::graph {
namespace {

using testing::HasSubstr;

// The angles of positions 0 to 9, as a pass would make a table of them.
const char* const kAngles = R"(graph angles {
  weight %positions : i32[10]
  weight %lengths : i32[10]
  weight %inv_freq : f32[4]
  %cos, %sin = rotary_angles(%positions, %lengths, %inv_freq) {rot_dim = 8, scaling = 1.0, rounded_to = f32, dynamic = 0, base = 10000.0, factor = 1.0, original_max = 0} : f32[10, 4], f32[10, 4]
  return cos = %cos
}
)";

TEST(EagerFolder, GivesWhatTheOpGives) {
  ThreadTeam team(2);
  CpuDevice device(team, Isa::scalar);
  Stream stream(device);
  EagerFolder folder(stream);
  Graph graph = parse(kAngles);
  std::array<int32_t, 10> positions;
  for (int32_t i = 0; i < 10; ++i) positions[static_cast<size_t>(i)] = i;
  const std::array<float, 4> frequencies = {1.0f, 0.1f, 0.01f, 0.001f};
  graph.values[0].tensor = folder.constant(DType::i32, Shape{10}, positions.data());
  graph.values[1].tensor = folder.constant(DType::i32, Shape{10}, positions.data());
  graph.values[2].tensor = folder.constant(DType::f32, Shape{4}, frequencies.data());
  const size_t before = folder.bytes();
  EXPECT_GT(before, 0u);
  const std::vector<Tensor> tables = folder.fold(graph, graph.nodes[0]);
  ASSERT_EQ(tables.size(), 2u);
  EXPECT_EQ(tables[1].shape, (Shape{10, 4}));
  EXPECT_EQ(tables[0].buffer->kind, BufferKind::weight);

  StepArena arena(host_memory(), 1 << 16);
  ops::EagerDispatcher dispatcher(stream, arena);
  const ops::DispatchScope scope(dispatcher);
  const ops::RotaryAngles angles = ops::rotary_angles(graph.values[0].tensor, graph.values[1].tensor,
                                                      graph.values[2].tensor, {.rot_dim = 8});
  EXPECT_EQ(std::memcmp(angles.cos.data(), tables[0].data(), 160), 0);
  EXPECT_EQ(std::memcmp(angles.sin.data(), tables[1].data(), 160), 0);
  EXPECT_EQ(tables[0].as<float>()[0], 1.0f);
  EXPECT_NE(tables[1].as<float>()[39], 0.0f);
}

TEST(EagerFolder, CountsItsBytes) {
  ThreadTeam team(1);
  CpuDevice device(team, Isa::scalar);
  Stream stream(device);
  EagerFolder folder(stream);
  EXPECT_EQ(folder.bytes(), 0u);
  const std::vector<float> large(size_t{1} << 20, 1.0f);
  const Tensor tensor = folder.constant(DType::f32, Shape{1 << 20}, large.data());
  EXPECT_EQ(folder.bytes(), large.size() * sizeof(float));
  EXPECT_EQ(tensor.as<float>()[(1 << 20) - 1], 1.0f);
}

TEST(EagerFolder, GivesAgainWhatItHasAndDryNothing) {
  ThreadTeam team(1);
  CpuDevice device(team, Isa::scalar);
  Stream stream(device);
  EagerFolder folder(stream), dry(stream, kDry);
  const std::vector<float> ones(64, 1.0f), twos(64, 2.0f);
  const Tensor a = folder.constant(DType::f32, Shape{64}, ones.data());
  EXPECT_EQ(folder.constant(DType::f32, Shape{64}, ones.data()).data(), a.data());
  EXPECT_NE(folder.constant(DType::f32, Shape{64}, twos.data()).data(), a.data());
  EXPECT_NE(folder.constant(DType::i32, Shape{64}, ones.data()).data(), a.data());
  EXPECT_EQ(folder.bytes(), 3 * 256u);
  EXPECT_EQ(dry.constant(DType::f32, Shape{64}, ones.data()).as<float>()[0], 0.0f) << "nothing was copied";
  EXPECT_EQ(dry.bytes(), 256u);
  Graph graph;
  const ValueId x = add_value(graph, {.name = "x", .kind = ValueKind::weight, .shape = {64}, .tensor = a});
  Node node{.schema = &ops::kAdd, .inputs = {x, x}};
  node.outputs.push_back(add_value(graph, {.shape = {64}, .producer = 0}));
  graph.nodes.push_back(node);
  const Tensor sum = folder.fold(graph, node)[0];
  EXPECT_EQ(sum.as<float>()[63], 2.0f);
  EXPECT_EQ(folder.fold(graph, node)[0].data(), sum.data()) << "folded once";
  EXPECT_EQ(folder.bytes(), 4 * 256u);
  node.schema = &ops::kMul;
  EXPECT_NE(folder.fold(graph, node)[0].data(), sum.data());
}

TEST(EagerFolder, RefusesWhatDependsOnTheStep) {
  ThreadTeam team(1);
  CpuDevice device(team, Isa::scalar);
  Stream stream(device);
  EagerFolder folder(stream);
  const auto refusal = [&](const std::string& text) -> std::string {
    HeapStore inputs(BufferKind::input, host_memory());
    Graph graph = parse(text);
    for (Value& value : graph.values)
      if (value.kind == ValueKind::input) value.tensor = inputs.allocate(value.dtype, Shape{16});
    try {
      folder.fold(graph, graph.nodes[0]);
    } catch (const Error& error) {
      return error.what();
    }
    return "folded";
  };
  EXPECT_THAT(refusal(kAngles),
              HasSubstr("the input %positions of rotary_angles is no constant with a tensor"));
  EXPECT_THAT(refusal("graph g {\n input %x : f32[16]\n %y = silu(%x) : f32[16]\n return y = %y\n}"),
              HasSubstr("the input %x of silu is no constant"));
}

}  // namespace
}  // namespace reprise::graph
