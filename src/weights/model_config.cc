#include "weights/model_config.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "core/error.h"
#include "core/file_kind.h"
#include "core/json.h"
#include "core/json_fields.h"
#include "weights/config_check.h"
#include "weights/family_defaults.h"
#include "weights/gguf.h"
#include "weights/rope_config.h"
#include "weights/token_ids.h"

namespace reprise::weights {
namespace {

// Configs are small, and each look-up of a key compares it with all of them.
constexpr size_t kMaxConfigBytes = size_t{2} << 20;

// "LlamaModel", as configs saved from AutoModel say it, for "LlamaForCausalLM"; others as they are.
std::string with_head(std::string architecture) {
  constexpr std::string_view kModel = "Model";
  if (!architecture.ends_with(kModel)) return architecture;
  const std::string causal = architecture.substr(0, architecture.size() - kModel.size()) + "ForCausalLM";
  return family_of_architecture(causal).architecture.empty() ? architecture : causal;
}

std::string architecture_of(const JsonFields& fields, std::string_view what) {
  const Json* list = fields.find("architectures");
  if (list && !(list->is_array() && list->empty())) {
    if (!list->is_array() || !list->front().is_string())
      fields.fail("architectures", "a list that begins with a name such as LlamaForCausalLM");
    return with_head(list->front().get<std::string>());
  }
  const auto model_type = fields.string("model_type");
  if (!model_type)
    throw Error("{}: neither 'architectures' nor 'model_type' is given; the model's family is unknown", what);
  const std::string_view architecture = family_of_model_type(*model_type).architecture;
  if (architecture.empty())
    throw Error("{}: no 'architectures', and model_type '{}' is not known; known are {}", what, *model_type,
                known_model_types());
  return std::string(architecture);
}

std::map<std::string, ConfigHook, std::less<>>& config_hooks() {
  static std::map<std::string, ConfigHook, std::less<>> hooks;
  return hooks;
}

void read_token_ids(const JsonFields& fields, ModelConfig& config) {
  const auto ids = [&](const JsonFields& from, std::string_view key) {
    return token_ids(from, key, config.vocab_size, config.warnings);
  };
  if (const auto bos = ids(fields, "bos_token_id"); !bos.empty()) config.bos_token_id = bos.front();
  if (const auto pad = ids(fields, "pad_token_id"); !pad.empty()) config.pad_token_id = pad.front();
  config.eos_token_ids = ids(fields, "eos_token_id");
  // Configs of models that also see or hear keep those of the language model one level down.
  if (const Json* text = fields.find("text_config"); text && text->is_object())
    for (int64_t id : ids(JsonFields(*text, fields.name_of("text_config")), "eos_token_id"))
      if (std::find(config.eos_token_ids.begin(), config.eos_token_ids.end(), id) ==
          config.eos_token_ids.end())
        config.eos_token_ids.push_back(id);
}

std::vector<bool> windows_by_layer(const JsonFields& fields, const FamilyDefaults& family, int64_t layers) {
  std::vector<bool> windows(static_cast<size_t>(layers));
  const Json* types = fields.find("layer_types");
  if (!types) {
    const int64_t first = fields.integer("max_window_layers").value_or(family.max_window_layers);
    for (int64_t i = std::clamp<int64_t>(first, 0, layers); i < layers; ++i)
      windows[static_cast<size_t>(i)] = true;
    return windows;
  }
  if (!types->is_array() || static_cast<int64_t>(types->size()) != layers)
    fields.fail("layer_types", fmt::format("a list of {} names", layers));
  for (size_t i = 0; i < windows.size(); ++i) {
    const Json& type = (*types)[i];
    windows[i] = type == "sliding_attention";
    if (!windows[i] && type != "full_attention")
      fields.fail("layer_types", "only 'full_attention' and 'sliding_attention'");
  }
  return windows;
}

void read_window(const JsonFields& fields, const FamilyDefaults& family, ModelConfig& config) {
  if (family.window == WindowRule::none) return;
  std::vector<bool> windows(static_cast<size_t>(config.num_layers), true);
  if (family.window == WindowRule::by_layer) {
    if (!fields.boolean("use_sliding_window").value_or(false)) return;
    windows = windows_by_layer(fields, family, config.num_layers);
  } else if (!fields.has("sliding_window")) {
    // Absent and null differ here: transformers takes the family's default for an absent key, no window for
    // null.
    if (fields.present("sliding_window")) return;
    config.sliding_window = family.sliding_window;
    config.layer_has_window = std::move(windows);
    return;
  }
  if (!fields.has("sliding_window") || std::find(windows.begin(), windows.end(), true) == windows.end())
    return;
  // A window beyond every position is none; very large ones are a way to say so.
  const int64_t window = fields.size("sliding_window", INT64_MAX);
  config.sliding_window = std::min(window, kMaxPositions);
  config.layer_has_window = std::move(windows);
}

}  // namespace

int64_t ModelConfig::window_of_layer(int64_t layer) const {
  if (sliding_window == 0) return 0;
  return layer_has_window.at(static_cast<size_t>(layer)) ? sliding_window : 0;
}

ModelConfig parse_model_config(const Json& json, std::string_view what) {
  ModelConfig config;
  const auto document = std::make_shared<Json>(json);
  config.document = document;
  const JsonFields fields(*document, what);
  config.architecture = architecture_of(fields, what);
  if (const auto hook = config_hooks().find(config.architecture); hook != config_hooks().end())
    hook->second(*document, what);
  const FamilyDefaults& family = family_of_architecture(config.architecture);
  if (const Json* quantised = fields.find("quantization_config"); quantised && !quantised->empty())
    throw Error(
        "{}: the weights are quantised ('quantization_config' is {}), which is not read from safetensors "
        "files; use the original checkpoint or a GGUF file",
        what, short_json_text(*quantised));

  config.vocab_size = fields.size("vocab_size", kMaxVocab);
  config.hidden_size = fields.size("hidden_size", kMaxHidden);
  config.intermediate_size = fields.size("intermediate_size", kMaxIntermediate);
  config.num_layers = fields.size("num_hidden_layers", kMaxLayers);
  config.num_heads = fields.size("num_attention_heads", kMaxHeads);
  config.num_kv_heads =
      fields.has("num_key_value_heads") ? fields.size("num_key_value_heads", kMaxHeads) : config.num_heads;
  config.max_position_embeddings = fields.size("max_position_embeddings", kMaxPositions);
  if (fields.has("head_dim"))
    config.head_dim = fields.size("head_dim", kMaxHeadDim);
  else if (family.head_dim > 0 && !fields.present("head_dim"))
    config.head_dim = family.head_dim;
  else if (config.hidden_size % config.num_heads != 0)
    throw Error("{}: no head_dim, and hidden_size {} is no multiple of num_attention_heads {}", what,
                config.hidden_size, config.num_heads);
  else
    config.head_dim = config.hidden_size / config.num_heads;

  config.rms_norm_eps = static_cast<float>(fields.number("rms_norm_eps").value_or(family.rms_norm_eps));
  config.hidden_act = fields.string("hidden_act").value_or("silu");
  config.tie_word_embeddings = fields.boolean("tie_word_embeddings").value_or(family.tie_word_embeddings);
  const bool use_bias = fields.boolean("use_bias").value_or(false);
  config.attention_bias = fields.boolean("attention_bias").value_or(false) || use_bias;
  config.mlp_bias = fields.boolean("mlp_bias").value_or(false) || use_bias;
  read_window(fields, family, config);
  config.rope = parse_rope_config(fields, family.rope_theta, config, what);

  // Only a hint, so anything that is no name counts as absent.
  if (const Json* dtype = fields.find(fields.has("dtype") ? "dtype" : "torch_dtype");
      dtype && dtype->is_string())
    config.torch_dtype = dtype->get<std::string>();
  if (config.torch_dtype.starts_with("torch.")) config.torch_dtype.erase(0, 6);
  read_token_ids(fields, config);
  check_config(config, what);
  return config;
}

void check_config(const ModelConfig& config, std::string_view what) {
  if (config.num_heads % config.num_kv_heads != 0)
    throw Error(
        "{}: {} attention heads cannot be shared by {} key/value heads; the second must divide the first",
        what, config.num_heads, config.num_kv_heads);
  if (config.head_dim % 2 != 0)
    throw Error("{}: head_dim is {}; rotary embedding turns pairs, it must be even", what, config.head_dim);
  if (!(config.rms_norm_eps >= 0.0f && config.rms_norm_eps < 1.0f))
    throw Error("{}: rms_norm_eps is {}, expected a number from 0 to 1", what, config.rms_norm_eps);
  check_rope(config.rope, what);
}

void set_config_hook(const std::string& architecture, ConfigHook hook) {
  if (hook)
    config_hooks()[architecture] = std::move(hook);
  else
    config_hooks().erase(architecture);
}

namespace {

// Other files of a checkpoint, which users give in place of its folder.
void refuse_other_file(const std::filesystem::path& path) {
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
  const std::string extension = path.extension().string();
  const bool weights =
      extension == ".safetensors" || extension == ".bin" || extension == ".pt" || extension == ".pth";
  const std::string name = path.filename().string();
  if (!weights && name != "tokenizer.json" && name != "tokenizer_config.json" &&
      name != "generation_config.json" && name != "model.safetensors.index.json")
    return;
  std::error_code ignored;
  const bool here = std::filesystem::exists(folder / "config.json", ignored);
  throw Error("{} is one file of a checkpoint{}; give its folder{}, or a .gguf file", path.string(),
              weights ? ", its weights without a configuration" : "",
              here ? ", " + folder.string() : " with config.json beside it");
}

}  // namespace

ModelConfig load_model_config(const std::filesystem::path& path) {
  std::error_code ignored;
  const bool folder = std::filesystem::is_directory(path, ignored);
  if (!folder && (is_gguf_file(path) || path.extension() == ".gguf"))
    return model_config_of_gguf(GgufFile(path));
  if (!folder && std::filesystem::exists(path, ignored)) {
    refuse_wrong_file(path);
    refuse_other_file(path);
  }
  const auto file = folder ? path / "config.json" : path;
  return parse_model_config(
      parse_json(read_checkpoint_file(file, kMaxConfigBytes), file.string(), kCheckpointJson), file.string());
}

}  // namespace reprise::weights
