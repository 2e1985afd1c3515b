#include "api/compiled_file.h"

#include <string_view>

#include "api/model_setup.h"
#include "codegen/build_id.h"
#include "core/error.h"
#include "core/json.h"

namespace reprise::api {
namespace {

// In the order in which differences are said.
constexpr std::string_view kCompared[] = {"engine", "build", "architecture", "model", "level"};

std::string sizes_text(const ModelSetup& setup) {
  const weights::ModelConfig& c = setup.config;
  return fmt::format(
      "{}, vocabulary {}, hidden {}, intermediate {}, heads {} x {}, kv heads {}, {}, eps {}{}{}",
      name_of(setup.dtype), c.vocab_size, c.hidden_size, c.intermediate_size, c.num_heads, c.head_dim,
      c.num_kv_heads, c.hidden_act, c.rms_norm_eps, c.attention_bias ? ", attention bias" : "",
      c.mlp_bias ? ", mlp bias" : "");
}

Json about_json(const ModelSetup& setup) {
  return {{"engine", version()},
          {"build", codegen::build_id()},
          {"architecture", setup.config.architecture},
          {"model", sizes_text(setup)},
          {"level", name_of(setup.isa)}};
}

std::string text_of(const Json& about, std::string_view field) {
  const auto found = about.is_object() ? about.find(field) : about.end();
  return found != about.end() && found->is_string() ? found->get<std::string>() : "(not said)";
}

}  // namespace

std::string about_artefact(const ModelSetup& setup, size_t kernels, std::string_view compiler) {
  Json about = about_json(setup);
  about["compiler"] = compiler;
  about["kernels"] = kernels;
  return to_json_text(about);
}

codegen::Artefact open_artefact(const ModelSetup& setup) {
  codegen::Artefact artefact = codegen::Artefact::open(setup.compiled);
  Json about;
  try {
    about = parse_json(artefact.about(), "its text");
  } catch (const Error& e) {
    throw Error("[--compiled] {} does not say what it is for: {}; make it again with `reprise compile`",
                setup.compiled, e.what());
  }
  const Json wanted = about_json(setup);
  for (const std::string_view field : kCompared) {
    const std::string is = text_of(about, field), expected = text_of(wanted, field);
    if (is != expected)
      throw Error(
          "[--compiled] {} is for the {} '{}', but this is '{}'; make it again with `reprise compile`{}",
          setup.compiled, field, is, expected, field == "level" ? ", or choose --isa" : "");
  }
  return artefact;
}

}  // namespace reprise::api
