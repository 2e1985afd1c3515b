// A small random model and a way to run requests through an engine on it, for the tests of this folder.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/thread_team.h"
#include "engine/engine.h"
#include "models/load_model.h"
#include "tests/device/host_mirror_device.h"
#include "tests/graph/decomposing_compiler.h"

namespace reprise::engine {

inline constexpr int64_t kSmallVocab = 503;

// Two layers with sizes that are no multiples of 16; biases where the family may have them, a window in Mistral's second
// layer.
inline weights::ModelConfig small_config(const std::string& architecture = "LlamaForCausalLM") {
  weights::ModelConfig config;
  config.architecture = architecture;
  config.vocab_size = kSmallVocab;
  config.hidden_size = 72;
  config.intermediate_size = 104;
  config.num_layers = 2;
  config.num_heads = 6;
  config.num_kv_heads = 2;
  config.head_dim = 16;
  config.max_position_embeddings = 512;
  config.rms_norm_eps = 1e-5f;
  config.rope.original_max_position_embeddings = 512;
  config.tie_word_embeddings = architecture == "Qwen2ForCausalLM";
  config.attention_bias = config.mlp_bias = architecture == "Ernie4_5ForCausalLM";
  if (architecture == "MistralForCausalLM") {
    config.sliding_window = 20;
    config.layer_has_window = {false, true};
  }
  return config;
}

inline std::unique_ptr<const models::Model> small_model(
    ThreadTeam& team, Device& device, DType dtype = DType::f32,
    const std::string& architecture = "LlamaForCausalLM") {
  return models::load_model(small_config(architecture), nullptr, dtype, team, device);
}

inline EngineConfig small_engine_config() {
  return {.max_model_len = 256, .max_num_seqs = 8, .block_size = 16, .max_logprobs = -1};
}

inline std::vector<int32_t> small_prompt(int64_t length, uint32_t salt = 0) {
  std::vector<int32_t> out;
  uint32_t state = 12345 + salt * 7919;
  for (int64_t i = 0; i < length; ++i) {
    state = state * 1664525u + 1013904223u;
    out.push_back(static_cast<int32_t>((state >> 8) % kSmallVocab));
  }
  return out;
}

// Of the ids, those that are a multiple of 3 apart from the number of tokens that the output has.
inline void a_third_of_the_ids(int32_t, std::span<const int32_t> tokens, std::span<uint32_t> allowed) {
  for (size_t id = 0; id < static_cast<size_t>(kSmallVocab); ++id)
    if (id % 3 != tokens.size() % 3) allowed[id / 32] &= ~(uint32_t{1} << (id % 32));
}

inline Request masked(std::vector<int32_t> prompt, SamplingParams sampling,
                      TokenMask mask = a_third_of_the_ids) {
  Request request{std::move(prompt), std::move(sampling)};
  request.token_mask = std::move(mask);
  return request;
}

// All that became of one output.
struct Collected {
  std::vector<int32_t> token_ids;
  std::vector<TokenScore> scores;
  std::vector<TokenScore> prompt_scores;
  FinishReason finish_reason = FinishReason::none;
  std::string error;
  RequestMetrics metrics;

  void take(const OutputEvent& event) {
    token_ids.insert(token_ids.end(), event.token_ids.begin(), event.token_ids.end());
    scores.insert(scores.end(), event.scores.begin(), event.scores.end());
    prompt_scores.insert(prompt_scores.end(), event.prompt_scores.begin(), event.prompt_scores.end());
    finish_reason = event.finish_reason;
    error = event.error;
    metrics = event.metrics;
  }
};
using Results = std::map<std::pair<RequestId, int32_t>, Collected>;

struct SmallEngine {
  explicit SmallEngine(const EngineConfig& config = small_engine_config(), DType dtype = DType::f32,
                       Isa isa = Isa::scalar, int threads = 1,
                       const std::string& architecture = "LlamaForCausalLM",
                       const std::function<void(graph::DecomposingCompiler&)>& with_compiler = nullptr)
      : team(threads),
        device(team, isa),
        compiler(device),
        engine(small_model(team, device, dtype, architecture), services(with_compiler), config,
               [this](const OutputEvent& e) {
                 results[{e.request, e.output}].take(e);
                 if (on_event) on_event(e);
               }) {}

  // Runs them together; the results of request i are in results[{first + i, output}].
  Results& run(std::vector<Request> requests) {
    for (Request& request : requests) engine.submit(std::move(request));
    engine.run();
    return results;
  }

  EngineServices services(const std::function<void(graph::DecomposingCompiler&)>& with_compiler) {
    if (with_compiler) with_compiler(compiler);
    return {device, &compiler};
  }

  ThreadTeam team;
  TestDevice device;
  graph::DecomposingCompiler compiler;
  Results results;
  EventSink on_event;
  Engine engine;
};

}  // namespace reprise::engine
