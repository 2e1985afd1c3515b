// Rotation of q and k and their write to the cache as a kernel of the compiler (kernels/cpu/rotary_kv_write.h runs it).
#include <algorithm>
#include <array>
#include <vector>

#include "codegen/generated_kernel.h"
#include "codegen/trial.h"
#include "core/kv_layout.h"
#include "kernels/cpu/rotary_kv_write.h"
#include "ops/cpu/rotary.h"
#include "ops/rotary.h"
#include "ops/rotary_kv_write.h"

namespace reprise::codegen {
namespace {

// Tokens of a trial that have a block each, as those of decode steps; what comes behind them fills blocks.
constexpr int64_t kOwnBlocks = Trial::kTokens[1];

// How many kv heads an item has: all of a small token's; of a large one few enough that workers can share a token.
int64_t sets_of(const loop::RotaryKvWrite& rotary) {
  constexpr int64_t kMostElements = 2048;
  int64_t best = 1;
  for (int64_t sets = 1; sets * (rotary.group() + 2) * rotary.head_dim <= kMostElements; ++sets)
    if (rotary.kv_heads % sets == 0) best = sets;
  return best;
}

class RotaryKernel final : public GeneratedKernel {
  using enum ops::rotary_kv_write::Input;
  static constexpr size_t kInputs = kValues + 1;

 public:
  RotaryKernel(const graph::Graph& graph, const graph::Node& node, const loop::RotaryKvWrite& rotary,
               Isa level)
      : GeneratedKernel(std::string(ops::kRotaryKvWrite.name), loop::print(rotary)),
        rotary_(rotary),
        attrs_(node.attrs),
        rows_of_angles_(graph.value(node.inputs[kCos]).shape[0].constant) {
    set_variants({name_of_chunks(1)}, name_of_chunks(1));
    code_.sets = rotary.sets;
    code_.by_hand = kernels::cpu::rotary_kv_write_kernel(level, rotary.dtype).run;
    kind = ops::kRotaryKvWrite.kind;
    for (size_t i = 0; i < kInputs; ++i) {
      place_[i] = node.inputs[i] == graph::kNone ? graph::kNone : static_cast<int>(inputs_.size());
      if (place_[i] != graph::kNone) inputs_.push_back(i);
    }
    name_inputs(static_cast<int>(inputs_.size()));
    mutated_inputs = 1u << place_[kKeys] | 1u << place_[kValues];
    may_share[0] = static_cast<uint16_t>(1u << place_[kQ]);
    infer = infer_outputs;
  }

  std::atomic<KernelFunction>& generated() override { return code_.generated; }
  std::string_view without_code() const override { return "runs as the op itself"; }
  bool needs_code() const override { return false; }
  void run(const ops::OpCall& call, Stream& stream, std::span<const Tensor> outputs,
           ops::WorkspaceAllocator&) const override {
    std::array<const Tensor*, kInputs> inputs{};
    for (size_t i = 0; i < kInputs; ++i)
      if (place_[i] != graph::kNone) inputs[i] = &call.input(place_[i]);
    ops::cpu::launch_coded_rotary_kv(&code_, ops::OpCall(ops::kRotaryKvWrite, inputs, attrs_), stream,
                                     outputs[0]);
  }

  // A cache with the null block, those of the first tokens, and as many as the others fill.
  Shape trial_shape(size_t i, const Shape& shape) const override {
    if (inputs_[i] != kKeys && inputs_[i] != kValues) return shape;
    const int64_t block =
        kv_block_elements(rotary_.dtype, rotary_.kv_heads, rotary_.head_dim, rotary_.block_size);
    const int64_t filled = std::max<int64_t>(0, Trial::kTokens[2] - kOwnBlocks);
    return Shape{(1 + kOwnBlocks + (filled + rotary_.block_size - 1) / rotary_.block_size) * block};
  }
  void fill_trial_input(size_t i, const Tensor& tensor, int64_t elements) const override {
    const size_t input = inputs_[i];
    if (input != kSlots && input != kPositions) return fill_with_numbers(tensor, elements);
    for (int64_t t = 0; t < elements; ++t) {
      const int64_t slot = t < kOwnBlocks ? (1 + t) * rotary_.block_size
                                          : (1 + kOwnBlocks) * rotary_.block_size + t - kOwnBlocks;
      tensor.as<int32_t>()[t] = static_cast<int32_t>(input == kSlots ? slot : t % rows_of_angles_);
    }
  }

 private:
  static void infer_outputs(const ops::OpCall& call, ops::OutputSpecs& outputs) {
    const Tensor& q = call.input(static_cast<const RotaryKernel&>(call.schema).place_[kQ]);
    outputs.add(q.dtype, q.shape);
  }

  loop::RotaryKvWrite rotary_;
  std::vector<ops::AttrValue> attrs_;
  int64_t rows_of_angles_;            // where there are positions
  std::array<int, kInputs> place_{};  // of the op's inputs among the group's, which lack absent ones
  std::vector<size_t> inputs_;        // the other way
  kernels::cpu::RotaryKvWriteCode code_;
};

}  // namespace

loop::RotaryKvWrite rotary_of(const graph::Graph& graph, const graph::FusionGroup& group) {
  using enum ops::rotary_kv_write::Input;
  using enum ops::rotary_kv_write::Attr;
  constexpr loop::RotaryKvWrite kNoRotary{.sets = 0};
  if (group.nodes.size() != 1) return kNoRotary;
  const graph::Node& node = graph.node(group.nodes.front());
  std::vector<graph::ValueId> inputs = node.inputs;
  std::erase(inputs, graph::kNone);
  // A value that is two of its inputs stands once among the group's.
  if (node.schema != &ops::kRotaryKvWrite || inputs != group.inputs || node.outputs != group.outputs)
    return kNoRotary;
  const auto attr = [&](size_t i) { return std::get<int64_t>(node.attrs[i]); };
  const auto has = [&](size_t input) { return node.inputs[input] != graph::kNone; };
  const graph::Value& q = graph.value(node.inputs[kQ]);
  loop::RotaryKvWrite rotary{
      .dtype = q.dtype,
      .heads = q.shape[1].constant / attr(kHeadDim),
      .kv_heads = attr(kKvHeads),
      .head_dim = attr(kHeadDim),
      .rot_dim = graph.value(node.inputs[kCos]).shape[1].constant * 2,
      .block_size = attr(kBlockSize),
      .interleaved = attr(kStyle) == static_cast<int64_t>(ops::RotaryStyle::interleaved),
      .round_products = attr(kRoundProducts) != 0 && q.dtype == DType::bf16,
      .q_norm = has(kQNorm),
      .k_norm = has(kKNorm),
      .positions = has(kPositions)};
  if (rotary.q_norm || rotary.k_norm) rotary.eps = static_cast<float>(std::get<double>(node.attrs[kEps]));
  const bool fits = rotary.heads % rotary.kv_heads == 0 && rotary.rot_dim >= 2 &&
                    rotary.head_dim <= loop::RotaryKvWrite::kMostHeadDim;
  rotary.sets = fits ? sets_of(rotary) : 0;
  return rotary;
}

std::unique_ptr<GeneratedKernel> make_rotary_kernel(const graph::Graph& graph,
                                                    const graph::FusionGroup& group, Isa level) {
  return std::make_unique<RotaryKernel>(graph, graph.node(group.nodes.front()), rotary_of(graph, group),
                                        level);
}

}  // namespace reprise::codegen
