// Attention of one shape as a kernel of the compiler (kernels/cpu/attention.h says when its code runs).
#include <algorithm>

#include "codegen/generated_kernel.h"
#include "core/error.h"
#include "core/kv_layout.h"
#include "kernels/cpu/attention.h"
#include "ops/attention.h"
#include "ops/cpu/attention.h"

namespace reprise::codegen {
namespace {

// Keys of each sequence of a trial: more than a tile, and as many as a short answer has.
constexpr int64_t kTrialKeys = 90;

enum Input : size_t { kQuery, kKeys, kValues, kTables, kSequences, kPositions };

// How many kv heads go together: as many rows as hide the latency of their sums, but no more sums than registers. Small
// heads need several.
int64_t sets_of(const loop::Attention& attention, Isa level) {
  const int64_t rows_at_most = level == Isa::avx2 ? 4 : 8, sums_at_most = level == Isa::avx2 ? 4 : 16;
  const int64_t columns = (attention.head_dim + 15) / 16;
  int64_t best = 1;
  for (int64_t sets = 1; sets * attention.group() <= rows_at_most; ++sets)
    if (attention.kv_heads % sets == 0 && sets * attention.group() * columns <= sums_at_most) best = sets;
  return best;
}

class AttentionKernel final : public GeneratedKernel {
 public:
  AttentionKernel(const graph::Node& node, const loop::Attention& attention, Isa level)
      : GeneratedKernel(std::string(ops::kPagedAttention.name), loop::print(attention)),
        attention_(attention),
        attrs_(node.attrs) {
    std::vector<std::string> variants;
    std::string untimed;
    // Chunks of keys whose scores are computed in turn.
    const int64_t sums = attention.sets * attention.group() * (level == Isa::avx2 ? 2 : 1);
    for (const int64_t chunks : {1, 2, 4}) {
      if (chunks > 1 && chunks * sums > 16) break;
      variants.push_back(name_of_chunks(chunks));
      if (chunks == 1 || chunks * sums <= 8) untimed = variants.back();
    }
    set_variants(std::move(variants), std::move(untimed));
    code_.sets = attention.sets;
    code_.by_hand = kernels::cpu::paged_attention_kernel(level, attention.dtype).run;
    kind = ops::OpKind::attention;
    input_names = ops::kPagedAttention.input_names;
    infer = [](const ops::OpCall& call, ops::OutputSpecs& outputs) {
      outputs.add(call.input(kQuery).dtype, call.input(kQuery).shape);
    };
  }

  std::atomic<KernelFunction>& generated() override { return code_.generated; }
  std::string_view without_code() const override { return "runs as the op itself"; }
  bool needs_code() const override { return false; }
  void run(const ops::OpCall& call, Stream& stream, std::span<const Tensor> outputs,
           ops::WorkspaceAllocator& workspace) const override {
    const ops::OpCall op(ops::kPagedAttention, {call.inputs.data(), static_cast<size_t>(call.input_count)},
                         attrs_);
    ops::cpu::launch_coded_attention(&code_, op, stream, outputs, workspace);
  }

  // A cache with blocks for each sequence behind the null block.
  Shape trial_shape(size_t i, const Shape& shape) const override {
    if (i != kKeys && i != kValues) return shape;
    const int64_t block =
        kv_block_elements(attention_.dtype, attention_.kv_heads, attention_.head_dim, attention_.block_size);
    return Shape{kSeqs * (blocks() * block) + Dim{block}};
  }
  void fill_trial_input(size_t i, const Tensor& tensor, int64_t elements) const override {
    const int64_t columns = i == kTables ? tensor.shape[1].constant : 1;
    for (int64_t e = 0; e < elements && i >= kTables; ++e)
      tensor.as<int32_t>()[e] =
          static_cast<int32_t>(i == kTables ? 1 + e / columns * blocks() + std::min(e % columns, blocks() - 1)
                               : i == kSequences ? e
                                                 : keys_at_most() - 1);
    if (i < kTables) fill_with_numbers(tensor, elements);
  }

 private:
  int64_t max_model_len() const { return std::get<int64_t>(attrs_[7]); }
  int64_t keys_at_most() const { return std::min(kTrialKeys, max_model_len()); }
  int64_t blocks() const { return (keys_at_most() + attention_.block_size - 1) / attention_.block_size; }

  loop::Attention attention_;
  std::vector<ops::AttrValue> attrs_;
  kernels::cpu::AttentionCode code_;
};

}  // namespace

loop::Attention attention_of(const graph::Graph& graph, const graph::FusionGroup& group, Isa level) {
  if (group.nodes.size() != 1) return {.sets = 0};
  const graph::Node& node = graph.node(group.nodes.front());
  if (node.schema != &ops::kPagedAttention || node.inputs != group.inputs) return {.sets = 0};
  const auto attr = [&](size_t i) { return std::get<int64_t>(node.attrs[i]); };
  loop::Attention attention{.dtype = graph.value(node.inputs[kQuery]).dtype,
                            .heads = attr(0),
                            .kv_heads = attr(1),
                            .head_dim = attr(2),
                            .block_size = attr(5),
                            .window = attr(4)};
  attention.sets = attention.group() <= loop::Attention::kMostGroup ? sets_of(attention, level) : 0;
  return attention;
}

std::unique_ptr<GeneratedKernel> make_attention_kernel(const graph::Graph& graph,
                                                       const graph::FusionGroup& group, Isa level) {
  return std::make_unique<AttentionKernel>(graph.node(group.nodes.front()), attention_of(graph, group, level),
                                           level);
}

}  // namespace reprise::codegen
