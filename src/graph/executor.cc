#include "graph/executor.h"

#include <algorithm>

#include "core/capture_error.h"
#include "core/capture_rules.h"
#include "core/error.h"
#include "core/fault.h"
#include "core/recording_scope.h"
#include "graph/no_storage.h"

namespace reprise::graph {
namespace {

// What Fault::op_flips_bits and Fault::op_mixes_in_last_row launch behind an op.
struct FaultScalars {
  int64_t row_bytes;
};
const Kernel kFlipBits{"fault_flip_bits", [](const KernelContext& context, int64_t, int64_t) {
                         context.buffer<uint32_t>(0)[0] ^= 0x00100010u;  // mantissas of f32 and of bf16
                       }};
const Kernel kMixInLastRow{"fault_mix_in_last_row", [](const KernelContext& context, int64_t, int64_t) {
                             const auto last =
                                 (context.sizes.tokens - 1) * context.get_scalars<FaultScalars>().row_bytes;
                             if (last > 0)
                               context.buffer<uint32_t>(0)[0] ^= *(context.buffer<uint32_t>(0) + last / 4);
                           }};

// Notes what an op asks for.
class WorkspaceMeter final : public ops::WorkspaceAllocator {
 public:
  WorkspaceMeter(StepSizes largest, NoStorage& nothing) : largest_(largest), nothing_(nothing) {}

  Tensor workspace(DType dtype, const Shape& shape) override {
    const Tensor tensor = nothing_.tensor({.dtype = dtype, .shape = shape});
    found.push_back({node, static_cast<size_t>(tensor.extent().eval(largest_))});
    return tensor;
  }

  NodeId node = 0;
  std::vector<Workspace> found;

 private:
  StepSizes largest_;
  NoStorage& nothing_;
};

}  // namespace

std::vector<Workspace> measure_workspaces(const Graph& graph, StepSizes largest, Stream& stream) {
  NoStorage nothing;
  std::vector<Tensor> tensors;
  tensors.reserve(graph.values.size());
  for (size_t i = 0; i < graph.values.size(); ++i) {
    // What the host fills has bytes, and an op that looks at them (it should not) finds some.
    const Value& root = graph.value(root_of(graph, static_cast<ValueId>(i)));
    tensors.push_back(root.tensor ? root.tensor : nothing.tensor(graph.values[i]));
  }
  DiscardingSink sink;
  stream.set_sizes(largest);
  const RecordingScope recording(stream, sink);
  WorkspaceMeter meter(largest, nothing);
  for (const Node& node : graph.nodes) {
    const ops::OpLaunch& launch = ops::launch_of(*node.schema, stream.device().kind());
    if (launch.plan_workspace != nullptr) {
      launch.plan_workspace(call_of(graph, node, tensors), meter);
    } else if (node.schema->capturable) {
      std::array<Tensor, ops::Outputs::kMax> outputs;
      const auto count = static_cast<size_t>(computed_outputs(node));
      for (size_t k = 0; k < count; ++k) outputs[k] = tensors[static_cast<size_t>(node.outputs[k])];
      const LayerScope layer(node.layer);
      const OpScope op(node.schema->name);
      try {
        launch.launch(call_of(graph, node, tensors), stream, {outputs.data(), count}, meter);
      } catch (const CaptureError&) {
        // It runs eagerly, between two recorded parts.
      }
    }
    ++meter.node;
  }
  return std::move(meter.found);
}

Executor::Executor(Graph graph, MemoryPlan plan, std::byte* arena, Stream& stream)
    : graph_(std::move(graph)), plan_(std::move(plan)), stream_(stream), dry_(arena == nullptr) {
  std::vector<BufferRef> places;
  places.reserve(plan_.placements.size());
  for (const Placement& placement : plan_.placements) places.push_back(place(placement, arena));
  tensors_.resize(graph_.values.size());
  for (size_t i = 0; i < tensors_.size(); ++i) {
    const Value& value = graph_.values[i];
    const Value& root = graph_.value(root_of(graph_, static_cast<ValueId>(i)));
    if (root.kind != ValueKind::result) {
      REPRISE_CHECK(root.tensor, "%{} has no tensor: a parsed graph can't run", root.name);
      tensors_[i] = root.tensor;
    } else {
      tensors_[i] = {.buffer = places[static_cast<size_t>(plan_.placement_of[i])],
                     .offset = 0,
                     .dtype = value.dtype,
                     .packing = value.packing,
                     .shape = value.shape};
    }
  }
  // Workspaces stand behind the values in the order in which they were measured.
  std::vector<std::vector<BufferRef>> of_node(graph_.nodes.size());
  for (size_t i = 0; i < places.size(); ++i)
    if (plan_.placements[i].value == kNone)
      of_node[static_cast<size_t>(plan_.placements[i].first)].push_back(places[i]);
  steps_.reserve(graph_.nodes.size());
  for (size_t i = 0; i < graph_.nodes.size(); ++i) {
    const Node& node = graph_.nodes[i];
    Step& step = steps_.emplace_back(Step{.call = call_of(graph_, node, tensors_),
                                          .launch = ops::launch_of(*node.schema, stream.device().kind()),
                                          .outputs = {},
                                          .output_count = static_cast<size_t>(computed_outputs(node)),
                                          .first_workspace = workspaces_.size()});
    for (size_t k = 0; k < step.output_count; ++k)
      step.outputs[k] = tensors_[static_cast<size_t>(node.outputs[k])];
    workspaces_.insert(workspaces_.end(), of_node[i].begin(), of_node[i].end());
  }
}

Executor::~Executor() = default;

BufferRef Executor::place(const Placement& placement, std::byte* arena) {
  Buffer& buffer = buffers_.emplace_back();
  buffer.data = arena == nullptr ? nullptr : arena + placement.offset;
  buffer.bytes = placement.bytes;
  buffer.kind = BufferKind::arena;
  buffer.id = placement.offset;
  buffer.owner = this;
  return BufferRef(&buffer);
}

void Executor::run() {
  run(0, static_cast<NodeId>(graph_.nodes.size()));
}

void Executor::run(NodeId begin, NodeId end) {
  const StepSizes sizes = stream_.sizes();
  REPRISE_CHECK(sizes.tokens <= plan_.largest.tokens && sizes.seqs <= plan_.largest.seqs &&
                    sizes.rows <= plan_.largest.rows,
                "a step of {} tokens in {} sequences with {} rows; the plan holds {} in {} with {}",
                sizes.tokens, sizes.seqs, sizes.rows, plan_.largest.tokens, plan_.largest.seqs,
                plan_.largest.rows);
  REPRISE_CHECK(!dry_ || stream_.recording(), "a dry executor runs outside of a recording");
  for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
    Step& step = steps_[i];
    next_workspace_ = step.first_workspace;
    end_workspace_ = i + 1 < steps_.size() ? steps_[i + 1].first_workspace : workspaces_.size();
    const LayerScope layer(graph_.nodes[i].layer);
    const OpScope op(step.call.schema.name);
    step.launch.launch(step.call, stream_, {step.outputs.data(), step.output_count}, *this);
    seed_fault(static_cast<NodeId>(i), step);
  }
}

// One launch more, in steps that run and in recordings alike.
void Executor::seed_fault(NodeId node, const Step& step) {
  const bool flips = fault_is_on(Fault::op_flips_bits, node);
  if ((!flips && !fault_is_on(Fault::op_mixes_in_last_row, node)) || step.output_count == 0) return;
  const Tensor& output = step.outputs[0];
  stream_.launch(flips ? kFlipBits : kMixInLastRow, {.items = Dim{1}}, {updates(output)},
                 FaultScalars{output.shape.row_elements() * static_cast<int64_t>(size_of(output.dtype))});
}

Tensor Executor::workspace(DType dtype, const Shape& shape) {
  REPRISE_CHECK(
      next_workspace_ < end_workspace_,
      "op '{}' of layer '{}' asks for a workspace of {} {} that was not planned; its schema needs a "
      "plan_workspace that asks for what launch() asks for",
      OpScope::current(), LayerScope::current(), name_of(dtype), to_string(shape));
  const Tensor tensor{.buffer = workspaces_[next_workspace_++],
                      .offset = 0,
                      .dtype = dtype,
                      .packing = kRowMajor,
                      .shape = shape};
  REPRISE_CHECK(
      static_cast<size_t>(tensor.extent().eval(stream_.sizes())) <= tensor.buffer->bytes,
      "op '{}' of layer '{}' asks for a workspace of {} {}, but {} bytes were planned; plan_workspace and "
      "launch() must ask for the same",
      OpScope::current(), LayerScope::current(), name_of(dtype), to_string(shape), tensor.buffer->bytes);
  return tensor;
}

const Tensor& Executor::output(std::string_view name) const {
  for (const GraphOutput& output : graph_.outputs)
    if (output.name == name) return tensor(output.value);
  std::string known;
  for (const GraphOutput& output : graph_.outputs) known += (known.empty() ? "" : ", ") + output.name;
  throw Error("[graph] '{}' returns no '{}'; it returns {}", graph_.name, name, known);
}

}  // namespace reprise::graph
