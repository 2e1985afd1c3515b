// A matmul with what stands before and behind it as a kernel of the compiler (kernels/cpu/coded_matmul.h runs it).
#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "codegen/generated_kernel.h"
#include "codegen/matmul_program.h"
#include "core/error.h"
#include "kernels/cpu/coded_matmul.h"
#include "ops/cpu/matmul.h"

namespace reprise::codegen {
namespace {

bool contains(const std::vector<int>& list, int item) {
  return std::ranges::find(list, item) != list.end();
}

class MatmulKernel final : public GeneratedKernel {
 public:
  MatmulKernel(const graph::Graph& graph, const graph::FusionGroup& group, loop::Matmul matmul, Isa level)
      : GeneratedKernel(matmul.name, loop::print(matmul)), code_(std::move(matmul), level) {
    const loop::Matmul& of = code_.matmul;
    set_code_variants(graph);
    inputs_ = static_cast<int>(group.inputs.size());
    name_inputs(inputs_);
    for (size_t i = 0; i < group.outputs.size(); ++i) {
      const graph::Value& value = graph.value(group.outputs[i]);
      outputs_.push_back({value.dtype, value.shape[1].constant});
      may_share[i] = inputs_to_share(inputs_ + static_cast<int>(i));
    }
    row_input_ = of.x;
    for (size_t i = 0; of.before && row_input_ < 0; ++i)
      if (of.before->program.operands[i].place == loop::Place::row) row_input_ = of.before->buffers[i];
    kind = ops::OpKind::matmul;
    row_wise = true;
    infer = infer_outputs;
  }

  std::atomic<KernelFunction>& generated() override { return code_.generated; }
  void run(const ops::OpCall& call, Stream& stream, std::span<const Tensor> outputs,
           ops::WorkspaceAllocator&) const override {
    ops::cpu::launch_coded_matmul(code_, name, stream,
                                  {call.inputs.data(), static_cast<size_t>(call.input_count)}, outputs);
  }

 private:
  struct Output {
    DType dtype;
    int64_t columns;
  };

  // Code for products is taken untimed where most weights of the whole graph fit an L2 cache. From further away it needs
  // other code, which is no faster than the kernel by hand with few rows.
  void set_code_variants(const graph::Graph& graph) {
    constexpr size_t kMostNearBytes = size_t{3} << 19;
    const bool alone = !code_.matmul.before && !code_.matmul.after;
    std::vector<std::string> variants = {name_of_chunks(1)};
    if (!alone) variants.push_back(name_of_chunks(4));
    std::string untimed = variants.back();
    if (code_.has_products) {
      const bool near = weight_bytes(graph) <= kMostNearBytes;
      variants.push_back(untimed + (near ? ", products" : ", products from afar"));
      if (near) untimed = variants.back();
    }
    set_variants(std::move(variants), std::move(untimed));
  }

  // What comes behind the product reads an element before it writes one in its place, and nobody else reads it: unless
  // it is read for the product, by every worker.
  uint16_t inputs_to_share(int output) const {
    const loop::Matmul& of = code_.matmul;
    uint16_t inputs = 0;
    if (!of.after || !contains(of.after->buffers, output)) return inputs;
    const auto out =
        static_cast<int>(std::ranges::find(of.after->buffers, output) - of.after->buffers.begin());
    for (int in = 0; in < out; ++in) {
      const int buffer = of.after->buffers[static_cast<size_t>(in)];
      const bool is_input = buffer >= 0 && buffer < inputs_;
      if (is_input && buffer != of.x && !(of.before && contains(of.before->buffers, buffer)) &&
          of.after->program.may_share(out, in))
        inputs |= static_cast<uint16_t>(1u << buffer);
    }
    return inputs;
  }

  static void infer_outputs(const ops::OpCall& call, ops::OutputSpecs& outputs) {
    const auto& self = static_cast<const MatmulKernel&>(call.schema);
    for (const Output& output : self.outputs_)
      outputs.add(output.dtype, Shape{call.input(self.row_input_).shape[0], output.columns});
  }

  kernels::cpu::MatmulCode code_;
  int inputs_ = 0;
  std::vector<Output> outputs_;
  int row_input_ = -1;  // whose rows the outputs have
};

}  // namespace

std::unique_ptr<GeneratedKernel> make_matmul_kernel(const graph::Graph& graph,
                                                    const graph::FusionGroup& group, Isa level) {
  return std::make_unique<MatmulKernel>(graph, group, matmul_of(graph, group), level);
}

}  // namespace reprise::codegen
