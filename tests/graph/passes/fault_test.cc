// Seeded faults of passes and who catches them: the verifier, against the graph before the pass, where a rule
// is broken; the bits of a run where the graph is sound and means something else.
#include "core/fault.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "device/cpu/cpu_device.h"
#include "device/cpu/isa_select.h"
#include "graph/passes/pass.h"
#include "graph/text.h"
#include "graph/verify.h"
#include "ops/elementwise.h"
#include "tests/graph/passes/run_graph.h"

namespace reprise::graph {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// What the verifier says of the list's run on a traced Llama of one more read and one more write of its
// cache.
std::string caught_by_verifier(const std::string& text, Fault fault) {
  PassContext context;
  Graph sound = parse(text);
  EXPECT_NO_THROW(run_passes(sound, context)) << "without the fault";
  Graph graph = parse(text);
  for (size_t i = 0; i < graph.values.size(); ++i)
    if (graph.values[i].kind == ValueKind::result) graph.values[i].traced = static_cast<int32_t>(i);
  const FaultScope scope(fault);
  try {
    run_passes(graph, context);
  } catch (const InternalError& error) {
    return error.what();
  }
  return "nobody; the passes left\n" + print(graph);
}

const std::string kInputs = R"(graph g {
  input %x : f32[9, 256]
  input %q : f32[T, 32]
  input %k : f32[T, 16]
  input %cos : f32[T, 4]
  input %sin : f32[T, 4]
  input %slots : i32[T]
  input %tables : i32[S, 8]
  input %sequences : i32[T]
  input %positions : i32[T]
  state %keys : f32[9, 256]
  state %values : f32[9, 256]
)";
const std::string kWrite =
    "  %keys@1, %values@1 = kv_write(%kr, %k, %slots, %keys, %values) {kv_heads = 2, head_dim = 8, "
    "block_size = 16} : f32[9, 256], f32[9, 256]\n";
const std::string kAttention =
    "  %y = paged_attention(%qr, %keys@1, %values@1, %tables, %sequences, %positions) {heads = 4, "
    "kv_heads = 2, head_dim = 8, scale = 0.5, window = 0, block_size = 16, partition_size = 128, "
    "max_model_len = 128} : f32[T, 32]\n";
const std::string kTurnedQ =
    "  %qr = rotary(%q, %cos, %sin) {head_dim = 8, style = 0, round_products = 1} : f32[T, 32]\n";
const std::string kTurnedK =
    "  %kr = rotary(%k, %cos, %sin) {head_dim = 8, style = 0, round_products = 1} : f32[T, 16]\n";

TEST(PassFaults, VerifierCatchesADroppedDependency) {
  EXPECT_THAT(caught_by_verifier(kInputs + kTurnedQ + kTurnedK + kWrite + kAttention + "  return y = %y\n}\n",
                                 Fault::pass_drops_dependency),
              AllOf(HasSubstr("after fuse_rotary_kv"), HasSubstr("reads %keys after %keys@1 was defined")));
}

TEST(PassFaults, VerifierCatchesADroppedWrite) {
  EXPECT_THAT(
      caught_by_verifier(kInputs + kTurnedK + kWrite + "  return k = %kr\n}\n", Fault::pass_forgets_effects),
      AllOf(HasSubstr("after dce"), HasSubstr("%keys was written 1 times and is now written 0")));
}

TEST(PassFaults, VerifierCatchesAReadThatMovedAcrossAWrite) {
  EXPECT_THAT(caught_by_verifier(kInputs + "  %before = silu(%keys) : f32[9, 256]\n" + kTurnedK + kWrite +
                                     "  %y = mul(%x, %before) : f32[9, 256]\n  return y = %y\n}\n",
                                 Fault::pass_moves_across_writes),
              AllOf(HasSubstr("after fuse_gate"), HasSubstr("reads %keys after %keys@1 was defined")));
}

TEST(PassFaults, VerifierCatchesStorageTakenTooEarly) {
  EXPECT_THAT(caught_by_verifier(kInputs + kTurnedK +
                                     "  %a = silu(%kr) : f32[T, 16]\n  %b = add(%kr, %a) : f32[T, 16]\n"
                                     "  return b = %b\n}\n",
                                 Fault::pass_overwrites_too_early),
              AllOf(HasSubstr("after in_place"), HasSubstr("%a takes the storage of %kr, which node")));
}

// The bits of a model's run with a fault in its passes.
class BitsOfARun {
 public:
  BitsOfARun()
      : team_(1),
        device_(team_, cpu::available_isas().back()),
        stream_(device_),
        model_(models::load_model(step_config("LlamaForCausalLM"), nullptr, DType::f32, team_, device_)),
        buffers_(*model_) {}

  template <typename Body>
  std::string change(Fault fault, const Body& body) {
    const Graph traced = trace(
        "model", buffers_.named(), [&](const Tensor& tensor) { return buffers_.name_of_state(tensor); },
        [&] { return body(*model_, buffers_.input()); });
    const Outcome expected = outcome_of(traced, buffers_, stream_);
    PassContext context;
    Graph sound = traced, faulty = traced;
    run_passes(sound, context);
    EXPECT_EQ(difference(expected, outcome_of(sound, buffers_, stream_)), "") << "without the fault";
    const FaultScope scope(fault);
    run_passes(faulty, context);  // the verifier finds nothing
    return difference(expected, outcome_of(faulty, buffers_, stream_));
  }

 private:
  ThreadTeam team_;
  CpuDevice device_;
  Stream stream_;
  std::unique_ptr<const models::Model> model_;
  StepBuffers buffers_;
};

std::vector<NamedTensor> logits_of(const models::Model& model, const models::ForwardInput& input) {
  return {{"logits", model.forward(input).logits}};
}

TEST(PassFaults, BitsCatchSwappedOperands) {
  EXPECT_THAT(BitsOfARun().change(Fault::pass_swaps_operands, logits_of),
              HasSubstr("step 0: logits differs"));
}

TEST(PassFaults, BitsCatchSwappedOutputs) {
  EXPECT_THAT(BitsOfARun().change(Fault::pass_swaps_outputs, logits_of), HasSubstr("step 0: logits differs"));
}

// The cache before and after the model wrote to it: a sound graph, since either may be read at its time.
TEST(PassFaults, BitsCatchConfusedVersions) {
  const auto cache_twice = [](const models::Model& model, const models::ForwardInput& input) {
    const Tensor before = ops::silu(input.kv->layers[0].keys);
    const Tensor logits = model.forward(input).logits;
    return std::vector<NamedTensor>{
        {"before", before}, {"logits", logits}, {"after", ops::silu(input.kv->layers[0].keys)}};
  };
  EXPECT_THAT(BitsOfARun().change(Fault::pass_confuses_versions, cache_twice),
              HasSubstr("step 0: after differs"));
}

}  // namespace
}  // namespace reprise::graph
