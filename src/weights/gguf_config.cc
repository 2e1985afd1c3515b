// A model's configuration from the metadata of a GGUF file. Keys: docs/gguf.md of ggml; what the file does
// not say (biases, tied head) is read off the tensors that it has.
#include <algorithm>

#include "core/error.h"
#include "weights/config_check.h"
#include "weights/dequantize.h"
#include "weights/family_defaults.h"
#include "weights/gguf.h"
#include "weights/model_config.h"

namespace reprise::weights {
namespace {

class ArchitectureKeys {
 public:
  ArchitectureKeys(const GgufMetadata& metadata, std::string_view architecture)
      : metadata_(metadata), prefix_(std::string(architecture) + ".") {}

  // Some writers give a list, one entry a layer.
  std::optional<int64_t> integer(std::string_view key) const {
    return metadata_.uniform_integer(prefix_ + std::string(key));
  }
  std::optional<double> number(std::string_view key) const {
    return metadata_.number(prefix_ + std::string(key));
  }
  std::optional<std::string_view> string(std::string_view key) const {
    return metadata_.string(prefix_ + std::string(key));
  }

  int64_t size(std::string_view key, int64_t most) const { return checked(key, integer(key), most); }
  int64_t size_or(std::string_view key, int64_t most, int64_t otherwise) const {
    return checked(key, integer(key).value_or(otherwise), most);
  }

 private:
  int64_t checked(std::string_view key, std::optional<int64_t> value, int64_t most) const {
    if (!value) throw Error("{}: metadata '{}{}' is missing", metadata_.what(), prefix_, key);
    if (*value < 1 || *value > most)
      throw Error("{}: metadata '{}{}' is {}, expected a whole number from 1 to {}", metadata_.what(),
                  prefix_, key, *value, most);
    return *value;
  }

  const GgufMetadata& metadata_;
  std::string prefix_;
};

// The scaling of Llama 3 comes as a tensor of divisors, one for each pair of dimensions.
std::vector<float> frequency_divisors(const GgufFile& file, int64_t rotary_dims) {
  const auto it = file.tensors().find("rope_freqs.weight");
  if (it == file.tensors().end()) return {};
  const FileTensor& tensor = it->second;
  const std::string& what = file.metadata().what();
  if (tensor.info.type != StoredType::f32 || tensor.info.elements() != rotary_dims / 2)
    throw Error("{}: tensor 'rope_freqs.weight' is {} {}, expected {} numbers in F32", what,
                traits_of(tensor.info.type).name, shape_text(tensor.info.shape), rotary_dims / 2);
  std::vector<float> divisors(static_cast<size_t>(tensor.info.elements()));
  dequantize_row(StoredType::f32, tensor.data.data(), divisors.data(), tensor.info.elements());
  for (float divisor : divisors)
    if (!(divisor > 0.0f && divisor < 1e6f))
      throw Error("{}: tensor 'rope_freqs.weight' holds {}, expected positive divisors below 1e6", what,
                  divisor);
  return divisors;
}

RopeConfig read_rope(const GgufFile& file, const ArchitectureKeys& keys, const FamilyDefaults& family,
                     const ModelConfig& config) {
  RopeConfig rope;
  rope.theta = keys.number("rope.freq_base").value_or(family.rope_theta);
  const int64_t rotary_dims = keys.size_or("rope.dimension_count", config.head_dim, config.head_dim);
  rope.partial_rotary_factor = static_cast<double>(rotary_dims) / static_cast<double>(config.head_dim);
  rope.original_max_position_embeddings = config.max_position_embeddings;
  rope.frequency_divisors = frequency_divisors(file, rotary_dims);

  const std::string_view scaling = keys.string("rope.scaling.type").value_or("none");
  // `rope.scale_linear` is the older form of a linear factor.
  const double factor =
      keys.number("rope.scaling.factor").value_or(keys.number("rope.scale_linear").value_or(1.0));
  if (scaling == "yarn") {
    rope.kind = RopeKind::yarn;
    rope.factor = factor;
    rope.original_max_position_embeddings =
        keys.size_or("rope.scaling.original_context_length", kMaxPositions, config.max_position_embeddings);
    rope.beta_fast = keys.number("rope.scaling.yarn_beta_fast").value_or(rope.beta_fast);
    rope.beta_slow = keys.number("rope.scaling.yarn_beta_slow").value_or(rope.beta_slow);
    // The file's factor multiplies what YaRN prescribes, as llama.cpp has it; 1 leaves that to the formula.
    constexpr std::string_view kExtFactor = "rope.scaling.yarn_ext_factor";  // negative: llama.cpp's default
    using Neutral = std::pair<std::string_view, double>;
    for (const auto& [key, neutral] :
         {Neutral{"rope.scaling.attn_factor", 1.0}, Neutral{"rope.scaling.yarn_attn_factor", 1.0},
          Neutral{kExtFactor, 1.0}, Neutral{"rope.scaling.yarn_log_multiplier", 0.0}}) {
      const double value = keys.number(key).value_or(neutral);
      if (value != neutral && !(key == kExtFactor && value < 0.0))
        throw Error("{}: metadata '{}' is {}, only {} is supported", file.metadata().what(), key, value,
                    neutral);
    }
  } else if (scaling == "linear" ||
             (scaling == "none" && keys.number("rope.scale_linear").value_or(1.0) != 1.0)) {
    rope.kind = RopeKind::linear;
    rope.factor = factor;
  } else if (scaling != "none") {
    throw Error("{}: rope.scaling.type '{}' is not supported; known are none, linear, yarn",
                file.metadata().what(), scaling);
  }
  return rope;
}

void read_token_ids(const GgufMetadata& metadata, ModelConfig& config) {
  // All bits set, or a negative number, is "none".
  const auto id = [&](std::string_view key) -> std::optional<int64_t> {
    const auto value = metadata.integer(key);
    if (!value || *value < 0 || *value == 0xffffffff) return std::nullopt;
    if (*value < config.vocab_size) return value;
    config.warnings.push_back(
        fmt::format("{}: metadata '{}' is {}, outside the vocabulary of {}; it is ignored", metadata.what(),
                    key, *value, config.vocab_size));
    return std::nullopt;
  };
  config.bos_token_id = id("tokenizer.ggml.bos_token_id");
  config.pad_token_id = id("tokenizer.ggml.padding_token_id");
  for (std::string_view key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"})
    if (const auto value = id(key);
        value && (config.eos_token_ids.empty() || config.eos_token_ids.front() != *value))
      config.eos_token_ids.push_back(*value);
}

}  // namespace

ModelConfig model_config_of_gguf(const GgufFile& file) {
  const GgufMetadata& metadata = file.metadata();
  const std::string& what = metadata.what();
  const auto architecture = metadata.string("general.architecture");
  if (!architecture) throw Error("{}: metadata 'general.architecture' is missing; no model to run", what);
  const FamilyDefaults& family = family_of_model_type(*architecture);
  if (family.architecture.empty())
    throw Error("{}: architecture '{}' is not known; known are {}", what, *architecture, known_model_types());
  const auto has = [&](std::string_view name) { return file.tensors().find(name) != file.tensors().end(); };

  const ArchitectureKeys keys(metadata, *architecture);
  ModelConfig config;
  config.architecture = family.architecture;
  if (const int64_t experts = keys.integer("expert_count").value_or(0); experts > 0)
    throw Error("{}: metadata '{}.expert_count' is {}; mixtures of experts are not supported", what,
                *architecture, experts);
  // A file may hold a matrix that serves as both under either name.
  auto embedding = file.tensors().find("token_embd.weight");
  if (embedding == file.tensors().end()) embedding = file.tensors().find("output.weight");
  if (embedding == file.tensors().end() || embedding->second.info.shape.size() != 2)
    throw Error("{}: no matrix 'token_embd.weight'; the file holds no language model", what);
  config.vocab_size = embedding->second.info.shape.front();
  if (config.vocab_size > kMaxVocab)
    throw Error("{}: 'token_embd.weight' has {} rows, at most {} tokens are possible", what,
                config.vocab_size, kMaxVocab);
  config.hidden_size = keys.size("embedding_length", kMaxHidden);
  config.intermediate_size = keys.size("feed_forward_length", kMaxIntermediate);
  config.num_layers = keys.size("block_count", kMaxLayers);
  config.num_heads = keys.size("attention.head_count", kMaxHeads);
  config.num_kv_heads = keys.size_or("attention.head_count_kv", kMaxHeads, config.num_heads);
  config.max_position_embeddings = keys.size("context_length", kMaxPositions);
  if (!keys.integer("attention.key_length") && config.hidden_size % config.num_heads != 0)
    throw Error("{}: no attention.key_length, and embedding_length {} is no multiple of {} heads", what,
                config.hidden_size, config.num_heads);
  config.head_dim = keys.size_or("attention.key_length", kMaxHeadDim, config.hidden_size / config.num_heads);
  if (keys.size_or("attention.value_length", kMaxHeadDim, config.head_dim) != config.head_dim)
    throw Error("{}: attention.key_length and value_length differ, which is not supported", what);
  config.rms_norm_eps =
      static_cast<float>(keys.number("attention.layer_norm_rms_epsilon").value_or(family.rms_norm_eps));
  config.tie_word_embeddings = !has("output.weight") || !has("token_embd.weight");
  config.attention_bias = has("blk.0.attn_q.bias");
  config.mlp_bias = has("blk.0.ffn_up.bias");
  config.rope = read_rope(file, keys, family, config);
  if (family.window == WindowRule::all_layers) {
    if (const auto window = keys.integer("attention.sliding_window"); window && *window > 0) {
      config.sliding_window = std::min(*window, kMaxPositions);  // more than all is all
      config.layer_has_window.assign(static_cast<size_t>(config.num_layers), true);
    }
  }
  read_token_ids(metadata, config);
  check_config(config, what);
  return config;
}

}  // namespace reprise::weights
