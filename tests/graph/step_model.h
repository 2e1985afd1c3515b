// Small random models of every family and the buffers that a step needs, filled by hand: the graph is tested
// below the engine.
#pragma once

#include <fmt/core.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/thread_team.h"
#include "device/cpu/weight_packer.h"
#include "graph/tracer.h"
#include "models/load_model.h"
#include "models/registry.h"

namespace reprise::graph {

inline const std::vector<std::string> kFamilies = {
    "LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM", "Ernie4_5ForCausalLM"};

// Two layers with sizes that are no multiples of 16; biases where the family has them, a window in Mistral's
// second layer.
inline weights::ModelConfig step_config(const std::string& architecture) {
  weights::ModelConfig config;
  config.architecture = architecture;
  config.vocab_size = 101;
  config.hidden_size = 72;
  config.intermediate_size = 104;
  config.num_layers = 2;
  config.num_heads = 6;
  config.num_kv_heads = 2;
  config.head_dim = 16;
  config.max_position_embeddings = 256;
  config.tie_word_embeddings = architecture == "Qwen2ForCausalLM";
  config.attention_bias = architecture == "Ernie4_5ForCausalLM";
  config.mlp_bias = config.attention_bias;
  config.rope.original_max_position_embeddings = 256;
  if (architecture == "MistralForCausalLM") {
    config.sliding_window = 5;
    config.layer_has_window = {false, true};
  }
  return config;
}

// The largest step, the sequences' blocks, and what a step reads and writes.
class StepBuffers {
 public:
  static constexpr int64_t kBlockSize = 16;
  static constexpr StepSizes kLargest{48, 8, 12};

  explicit StepBuffers(const models::Model& model, StepSizes largest = kLargest, int64_t max_model_len = 64,
                       int64_t partition_size = 64)
      : max_blocks_((max_model_len + kBlockSize - 1) / kBlockSize) {
    const weights::ModelConfig& config = model.config();
    kv_.block_size = kBlockSize;
    kv_.max_blocks_per_seq = max_blocks_;
    kv_.max_model_len = max_model_len;
    kv_.partition_size = partition_size;
    const Shape cache{largest.seqs * max_blocks_ + 1, config.num_kv_heads * kBlockSize * config.head_dim};
    for (int64_t i = 0; i < config.num_layers; ++i)
      kv_.layers.push_back(
          {.keys = state_.allocate(model.dtype(), cache), .values = state_.allocate(model.dtype(), cache)});
    input_ = {.token_ids = ints({largest.tokens}, {kTokens}),
              .positions = ints({largest.tokens}, {kTokens}),
              .rope_lengths = ints({largest.tokens}, {kTokens}),
              .slots = ints({largest.tokens}, {kTokens}),
              .seq_of_token = ints({largest.tokens}, {kTokens}),
              .block_tables = ints({largest.seqs, max_blocks_}, {kSeqs, max_blocks_}),
              .logit_rows = ints({largest.rows}, {kRows}),
              .kv = &kv_};
  }
  StepBuffers(const StepBuffers&) = delete;
  StepBuffers& operator=(const StepBuffers&) = delete;

  const models::ForwardInput& input() const { return input_; }
  StepSizes sizes() const { return sizes_; }

  void clear() { sizes_ = {}; }
  // `tokens` more positions of sequence `seq` (which owns its blocks for good), from position `begin` on.
  void add(int64_t seq, int64_t begin, int64_t tokens) {
    const auto row = sizes_.seqs++;
    for (int64_t i = 0; i < max_blocks_; ++i)
      input_.block_tables.as<int32_t>()[row * max_blocks_ + i] =
          static_cast<int32_t>(1 + seq * max_blocks_ + i);
    for (int64_t p = begin; p < begin + tokens; ++p) {
      const int64_t t = sizes_.tokens++;
      input_.token_ids.as<int32_t>()[t] = static_cast<int32_t>((seq * 31 + p * 7 + 3) % 101);
      input_.positions.as<int32_t>()[t] = static_cast<int32_t>(p);
      input_.rope_lengths.as<int32_t>()[t] = static_cast<int32_t>(p + 1);
      input_.slots.as<int32_t>()[t] = static_cast<int32_t>((1 + seq * max_blocks_) * kBlockSize + p);
      input_.seq_of_token.as<int32_t>()[t] = static_cast<int32_t>(row);
    }
    // Its last token is read; of several, the one before too, as speculation does, so that R is not S.
    for (int64_t back = std::min<int64_t>(tokens, 2); back > 0; --back)
      input_.logit_rows.as<int32_t>()[sizes_.rows++] = static_cast<int32_t>(sizes_.tokens - back);
  }

  std::vector<NamedTensor> named() const {
    return {{"token_ids", input_.token_ids},       {"positions", input_.positions},
            {"rope_lengths", input_.rope_lengths}, {"slots", input_.slots},
            {"seq_of_token", input_.seq_of_token}, {"block_tables", input_.block_tables},
            {"logit_rows", input_.logit_rows}};
  }
  std::string name_of_state(const Tensor& tensor) const {
    for (size_t i = 0; i < kv_.layers.size(); ++i) {
      if (tensor.buffer.get() == kv_.layers[i].keys.buffer.get()) return fmt::format("keys.{}", i);
      if (tensor.buffer.get() == kv_.layers[i].values.buffer.get()) return fmt::format("values.{}", i);
    }
    return {};
  }

 private:
  Tensor ints(const Shape& capacity, const Shape& shape) {
    Tensor tensor = inputs_.allocate(DType::i32, capacity);
    tensor.shape = shape;
    return tensor;
  }

  HeapStore inputs_{BufferKind::input, host_memory()};
  HeapStore state_{BufferKind::state, host_memory()};
  int64_t max_blocks_;
  models::PagedKvView kv_;
  models::ForwardInput input_;
  StepSizes sizes_;
};

inline Graph trace_model(const models::Model& model, const StepBuffers& buffers) {
  return trace(
      model.config().architecture, buffers.named(),
      [&](const Tensor& tensor) { return buffers.name_of_state(tensor); },
      [&] {
        const models::ForwardOutput output = model.forward(buffers.input());
        return std::vector<NamedTensor>{{"hidden", output.hidden}, {"logits", output.logits}};
      });
}

// A model whose weights have shapes and addresses and no contents: for plans of real sizes.
struct HollowModel {
  HollowModel(const weights::ModelConfig& config, DType dtype)
      : team(1),
        loader(nullptr, store, packer, team, dtype),
        model(models::find_family(config.architecture).make(config, loader)) {}

  ThreadTeam team;
  HeapStore store{BufferKind::weight, host_memory()};
  CpuWeightPacker packer;
  models::WeightLoader loader;
  std::unique_ptr<models::Model> model;
};

// The shape of Qwen3-0.6B.
inline weights::ModelConfig config_06b() {
  weights::ModelConfig config;
  config.architecture = "Qwen3ForCausalLM";
  config.vocab_size = 151936;
  config.hidden_size = 1024;
  config.intermediate_size = 3072;
  config.num_layers = 28;
  config.num_heads = 16;
  config.num_kv_heads = 8;
  config.head_dim = 128;
  config.max_position_embeddings = 40960;
  config.tie_word_embeddings = true;
  config.rope.theta = 1e6;
  config.rope.original_max_position_embeddings = 40960;
  return config;
}

// That of stories15M.
inline weights::ModelConfig config_15m() {
  weights::ModelConfig config;
  config.architecture = "LlamaForCausalLM";
  config.vocab_size = 32000;
  config.hidden_size = 288;
  config.intermediate_size = 768;
  config.num_layers = 6;
  config.num_heads = 6;
  config.num_kv_heads = 6;
  config.head_dim = 48;
  config.max_position_embeddings = 2048;
  config.rope.original_max_position_embeddings = 2048;
  return config;
}

}  // namespace reprise::graph
