// Families from outside the tree: include/reprise/model.h over models::Model and the registry of families.
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <utility>

#include "api/model_access.h"
#include "core/error.h"
#include "core/json.h"
#include "core/json_fields.h"
#include "models/registry.h"
#include "weights/model_config.h"

namespace reprise {
namespace {

constexpr std::array<std::pair<std::string_view, Tensor models::ForwardInput::*>, 7> kStepInputs = {{
    {"token_ids", &models::ForwardInput::token_ids},
    {"positions", &models::ForwardInput::positions},
    {"rope_lengths", &models::ForwardInput::rope_lengths},
    {"slots", &models::ForwardInput::slots},
    {"seq_of_token", &models::ForwardInput::seq_of_token},
    {"block_tables", &models::ForwardInput::block_tables},
    {"logit_rows", &models::ForwardInput::logit_rows},
}};

// Throws Error, listing the names, when there is no such input.
Tensor models::ForwardInput::*find_input(std::string_view architecture, std::string_view name) {
  for (const auto& [known, member] : kStepInputs)
    if (known == name) return member;
  std::array<std::string_view, kStepInputs.size()> names;
  std::transform(kStepInputs.begin(), kStepInputs.end(), names.begin(),
                 [](const auto& input) { return input.first; });
  throw Error("[model {}] there is no input '{}'; inputs are {}", architecture, name, fmt::join(names, ", "));
}

ModelShape shape_of(const weights::ModelConfig& config) {
  return {.architecture = config.architecture,
          .vocab_size = config.vocab_size,
          .hidden_size = config.hidden_size,
          .intermediate_size = config.intermediate_size,
          .num_layers = config.num_layers,
          .num_heads = config.num_heads,
          .num_kv_heads = config.num_kv_heads,
          .head_dim = config.head_dim,
          .max_position_embeddings = config.max_position_embeddings,
          .rms_norm_eps = config.rms_norm_eps,
          .hidden_act = config.hidden_act,
          .tie_word_embeddings = config.tie_word_embeddings,
          .attention_bias = config.attention_bias,
          .mlp_bias = config.mlp_bias,
          .config = ConfigFields(std::make_shared<ConfigFields::Impl>(
              ConfigFields::Impl{config.document == nullptr ? Json::object() : *config.document,
                                 "config.json of " + config.architecture}))};
}

// A backbone from outside as the engine sees it.
class CustomModel final : public models::Model {
 public:
  CustomModel(const weights::ModelConfig& config, models::WeightLoader& loader,
              std::shared_ptr<const ModelFamily> family)
      : Model(config, loader.dtype()), family_(std::move(family)) {
    WeightReader::Impl impl{loader, this->config(), shape_of(config)};
    WeightReader reader(impl);
    backbone_ = family_->make(reader);
    if (!backbone_) throw Error("[model {}] ModelFamily::make returned nothing", family_->architecture);
  }

  models::ForwardOutput forward(const models::ForwardInput& input) const override {
    const ModelInputs::Impl inputs{input, config(), *family_};
    const ModelOutputs outputs = backbone_->forward(ModelInputs(inputs));
    return {.hidden = checked("hidden", outputs.hidden, dtype(), {kTokens, config().hidden_size}),
            .logits = checked("logits", outputs.logits, DType::f32, {kRows, config().vocab_size})};
  }

  Tensor logits(const Tensor& hidden, const Tensor& rows) const override {
    return checked("logits", backbone_->logits(ValueAccess::value(hidden), ValueAccess::value(rows)),
                   DType::f32, {rows.shape[0], config().vocab_size});
  }

 private:
  const Tensor& checked(std::string_view what, const Value& value, DType dtype, const Shape& shape) const {
    const Tensor& tensor = ValueAccess::tensor(value);
    if (!tensor || tensor.dtype != dtype || tensor.shape != shape)
      throw Error("[model {}] its {} are {}; expected {} {}", family_->architecture, what, value.to_string(),
                  name_of(dtype), to_string(shape));
    return tensor;
  }

  std::shared_ptr<const ModelFamily> family_;
  std::unique_ptr<Backbone> backbone_;
};

}  // namespace

bool ConfigFields::has(std::string_view key) const {
  return JsonFields(impl_->document, impl_->what).has(key);
}
std::optional<bool> ConfigFields::boolean(std::string_view key) const {
  return JsonFields(impl_->document, impl_->what).boolean(key);
}
std::optional<int64_t> ConfigFields::integer(std::string_view key) const {
  return JsonFields(impl_->document, impl_->what).integer(key);
}
std::optional<double> ConfigFields::number(std::string_view key) const {
  return JsonFields(impl_->document, impl_->what).number(key);
}
std::optional<std::string> ConfigFields::string(std::string_view key) const {
  return JsonFields(impl_->document, impl_->what).string(key);
}
std::string ConfigFields::text() const {
  return to_json_text(impl_->document);
}
void ConfigFields::set(const std::string& key, Field value) {
  std::visit([&](auto& field) { impl_->document[key] = std::move(field); }, value);
}

const ModelShape& WeightReader::shape() const {
  return impl_.shape;
}
Value WeightReader::matrix(const std::string& name, int64_t rows, int64_t columns) {
  if (rows < 1 || columns < 1)
    throw Error("[model {}] the weight '{}' is asked for as [{}, {}]; sizes are at least 1",
                impl_.shape.architecture, name, rows, columns);
  return ValueAccess::value(impl_.loader.matrix(name, rows, columns));
}
Value WeightReader::vector(const std::string& name, int64_t size) {
  if (size < 1)
    throw Error("[model {}] the weight '{}' is asked for as [{}]; sizes are at least 1",
                impl_.shape.architecture, name, size);
  return ValueAccess::value(impl_.loader.vector(name, size));
}
Value WeightReader::constant(const std::string& name, const std::vector<float>& values) {
  if (values.empty())
    throw Error("[model {}] the constant '{}' has no elements", impl_.shape.architecture, name);
  return ValueAccess::value(impl_.loader.constant(name, values));
}

const Tensor& ModelInputs::Impl::input(std::string_view name) const {
  const auto member = find_input(family.architecture, name);
  if (std::find(family.inputs.begin(), family.inputs.end(), name) == family.inputs.end())
    throw Error(
        "[model {}] uses the input '{}' but does not declare it; declared are {}. Add it to "
        "ModelFamily::inputs",
        family.architecture, name, fmt::join(family.inputs, ", "));
  return forward.*member;
}

Value ModelInputs::operator[](std::string_view name) const {
  return ValueAccess::value(impl_.input(name));
}
KvCache ModelInputs::kv_cache(int64_t layer) const {
  if (layer < 0 || layer >= impl_.config.num_layers)
    throw Error("[model {}] the KV cache of layer {} is asked for; config.json says {} layers",
                impl_.family.architecture, layer, impl_.config.num_layers);
  return {impl_, layer};
}

void register_model_family(ModelFamily family) {
  if (family.architecture.empty() || !family.make)
    throw Error("[register_model_family] '{}' has no {}; a family needs both a name and a way to make it",
                family.architecture, family.architecture.empty() ? "architecture" : "make function");
  for (const std::string& name : family.inputs) find_input(family.architecture, name);
  const auto shared = std::make_shared<const ModelFamily>(std::move(family));
  weights::set_config_hook(
      shared->architecture,
      shared->prepare_config ? [shared](Json& document, std::string_view what) {
        const auto impl = std::make_shared<ConfigFields::Impl>(
            ConfigFields::Impl{std::move(document), std::string(what)});
        ConfigFields fields(impl);
        shared->prepare_config(fields);
        document = impl->document;
      } : weights::ConfigHook());
  models::register_family({.architecture = shared->architecture,
                           .supports_graph_optimization = shared->supports_graph_optimization,
                           .make = [shared](const weights::ModelConfig& config,
                                            models::WeightLoader& loader) -> std::unique_ptr<models::Model> {
                             return std::make_unique<CustomModel>(config, loader, shared);
                           }});
}

}  // namespace reprise
