// What a model is made of, whatever file says it: config.json of a Hugging Face folder (older `rope_theta`
// and `rope_scaling`, newer `rope_parameters`) or the metadata of a GGUF file. Absent fields have the
// defaults of Hugging Face transformers for the family. A value that changes no number here is never an
// error, whatever it is; one that would change numbers and is not supported is refused by name.
// models/registry.h says which families can be run.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/json_fwd.h"

namespace reprise::weights {

class GgufFile;

enum class RopeKind : uint8_t { standard, linear, dynamic, llama3, yarn };

std::string_view name_of(RopeKind kind);  // "default", "linear", ...

// Fields of kinds other than `kind` keep their defaults. Meaning: transformers, modeling_rope_utils.py.
struct RopeConfig {
  RopeKind kind = RopeKind::standard;
  double theta = 10000.0;              // > 0
  double partial_rotary_factor = 1.0;  // (0, 1], share of a head that is rotated
  double factor = 1.0;                 // >= 1; yarn: 0 when absent, then max positions / original
  // What the lengths are measured against: the length of pre-training (llama3, yarn), or
  // max_position_embeddings.
  int64_t original_max_position_embeddings = 0;
  double low_freq_factor = 1.0;            // llama3
  double high_freq_factor = 4.0;           // llama3
  double beta_fast = 32.0;                 // yarn
  double beta_slow = 1.0;                  // yarn
  std::optional<double> attention_factor;  // yarn
  std::optional<double> mscale;            // yarn
  std::optional<double> mscale_all_dim;    // yarn
  bool truncate = true;                    // yarn
  // [rotary dimensions / 2], each inverse frequency is divided by its entry; empty: none. The form in which a
  // GGUF file (tensor rope_freqs.weight) carries the scaling of Llama 3.
  std::vector<float> frequency_divisors;
};

struct ModelConfig {
  std::string architecture;  // "LlamaForCausalLM"
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t num_layers = 0;
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;  // divides num_heads
  int64_t head_dim = 0;      // even
  int64_t max_position_embeddings = 0;
  float rms_norm_eps = 1e-6f;
  std::string hidden_act = "silu";
  bool tie_word_embeddings = false;
  bool attention_bias =
      false;              // `attention_bias` or ERNIE's `use_bias`; families with fixed biases ignore it
  bool mlp_bias = false;  // `mlp_bias` or `use_bias`
  RopeConfig rope;
  int64_t sliding_window = 0;  // positions a windowed layer sees, itself included; 0: no layer has a window
  std::vector<bool> layer_has_window;   // [num_layers] when sliding_window > 0, else empty
  std::string torch_dtype;              // "bfloat16"; empty when the file does not say
  std::optional<int64_t> bos_token_id;  // each id is inside the vocabulary
  std::vector<int64_t> eos_token_ids;   // all that the file names, without repetition
  std::optional<int64_t> pad_token_id;
  // What was found and ignored, one line each: ids outside the vocabulary and the like.
  std::vector<std::string> warnings;
  // config.json as it was read, for what a family from outside the tree reads itself; null for GGUF.
  std::shared_ptr<const Json> document;

  // The window of a layer, 0 where it sees everything.
  int64_t window_of_layer(int64_t layer) const;
};

// All throw Error on a missing field, a wrong type, a size that is not positive or absurdly large, heads that
// kv heads do not divide, an unknown kind of rotary scaling, and a checkpoint that is quantised in a form
// this engine does not read.
ModelConfig parse_model_config(const Json& json, std::string_view what);
ModelConfig model_config_of_gguf(const GgufFile& file);
// `path`: a Hugging Face folder, its config.json, or a .gguf file. Throws Error, saying what to give instead,
// for another file of a checkpoint.
ModelConfig load_model_config(const std::filesystem::path& path);

// `hook` may change the document of an architecture before it is read, so that a family from outside the
// source tree can have other names for its sizes. An empty hook removes the one that was set. Not safe while
// another thread reads a config.
using ConfigHook = std::function<void(Json& document, std::string_view what)>;
void set_config_hook(const std::string& architecture, ConfigHook hook);

}  // namespace reprise::weights
