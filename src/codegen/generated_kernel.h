// A kernel of the compiler as an op, of any kind: a group of ops that becomes a loop program, or stands around a matmul,
// or attention, or a rotation with the write of the cache.
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/isa.h"
#include "core/launch.h"
#include "graph/graph.h"
#include "graph/kernel_compiler.h"
#include "loop/attention.h"
#include "loop/program.h"
#include "loop/rotary.h"
#include "ops/launch_table.h"

namespace reprise::codegen {

// Its inputs and outputs are those of the group. Address and fields stay as long as graphs and recordings name it.
class GeneratedKernel : public ops::OpSchema {
 public:
  virtual ~GeneratedKernel() = default;
  GeneratedKernel(const GeneratedKernel&) = delete;
  GeneratedKernel& operator=(const GeneratedKernel&) = delete;

  // For the compiler's process, for keys and for people.
  const std::string& program() const { return program_; }
  const std::string& program_name() const { return program_name_; }
  // Options of the emitter that are worth timing, and the one that is taken untimed.
  const std::vector<std::string>& variants() const { return variants_; }
  const std::string& untimed_variant() const { return untimed_variant_; }

  // Its code, null while there is none: then something else runs, to the same bits. Any thread, at any moment.
  virtual std::atomic<KernelFunction>& generated() = 0;
  // What that is, for reports: "is interpreted", "runs as the op itself".
  virtual std::string_view without_code() const { return "is interpreted"; }
  // Whether serving is slower than at level 1 as long as there is no code.
  virtual bool needs_code() const { return true; }
  virtual void run(const ops::OpCall& call, Stream& stream, std::span<const Tensor> outputs,
                   ops::WorkspaceAllocator& workspace) const = 0;

  // For trials: the shape of input `i` of the group on the way to it, and what is in it (`elements` of them).
  // As it is, and any numbers, unless a kernel needs other ones.
  virtual Shape trial_shape(size_t i, const Shape& shape) const;
  virtual void fill_trial_input(size_t i, const Tensor& tensor, int64_t elements) const;

 protected:
  GeneratedKernel(std::string name, std::string program);
  void set_variants(std::vector<std::string> variants, std::string untimed) {
    variants_ = std::move(variants);
    untimed_variant_ = std::move(untimed);
  }
  void name_inputs(int count);  // "in0" and so on

 private:
  std::string program_, program_name_;
  std::vector<std::string> variants_;
  std::string untimed_variant_;
  std::vector<std::string> own_input_names_;
  std::vector<std::string_view> input_views_;
  ops::OpLaunch launch_;
};

// "chunks 4": how many vectors of 16 lanes are computed in turn, so that the processor can overlap them.
std::string name_of_chunks(int64_t chunks);
// Those of a loop program: what would be the same code for so few columns is left out. Untimed: as fast as any for a
// chain of 11 ops at every level, hot and cold.
std::vector<std::string> variants_of(const loop::Program& program);
std::string untimed_variant(const loop::Program& program);

// Numbers from -2 to 2, which no op takes a shortcut for, into f32 or bf16.
void fill_with_numbers(const Tensor& tensor, int64_t elements);

// Of all packed weights of a graph, with their padding.
size_t weight_bytes(const graph::Graph& graph);

// The attention that a group is, as code of this level has it; sets 0: it is none, or none that there is code for.
loop::Attention attention_of(const graph::Graph& graph, const graph::FusionGroup& group, Isa level);

// The same of a rotation with the write of the cache, at any level.
loop::RotaryKvWrite rotary_of(const graph::Graph& graph, const graph::FusionGroup& group);

// The program of a group that the compiler accepts. Throws Error on one that is too large.
std::string program_text(const graph::Graph& graph, const graph::FusionGroup& group, Isa level);
std::unique_ptr<GeneratedKernel> make_kernel(const graph::Graph& graph, const graph::FusionGroup& group,
                                             Isa level);
std::unique_ptr<GeneratedKernel> make_attention_kernel(const graph::Graph& graph,
                                                       const graph::FusionGroup& group, Isa level);
std::unique_ptr<GeneratedKernel> make_matmul_kernel(const graph::Graph& graph,
                                                    const graph::FusionGroup& group, Isa level);
std::unique_ptr<GeneratedKernel> make_rotary_kernel(const graph::Graph& graph,
                                                    const graph::FusionGroup& group, Isa level);

}  // namespace reprise::codegen
