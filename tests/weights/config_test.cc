#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "core/json.h"
#include "tests/weights/file_builders.h"
#include "weights/generation_defaults.h"
#include "weights/model_config.h"

namespace reprise::weights {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Json base() {
  return Json::parse(
      R"({"architectures":["LlamaForCausalLM"],"model_type":"llama","vocab_size":100,"hidden_size":64,
    "intermediate_size":172,"num_hidden_layers":4,"num_attention_heads":8,"num_key_value_heads":4,
    "max_position_embeddings":512})");
}

Json changed(std::string_view patch) {
  Json json = base();
  const Json fields = Json::parse(patch);
  for (const auto& [key, value] : fields.items()) json[key] = value;
  return json;
}

ModelConfig parsed(std::string_view patch) {
  return parse_model_config(changed(patch), "config.json");
}
std::string error_with(std::string_view patch) {
  return error_of<Error>([&] { parsed(patch); });
}

TEST(ModelConfig, DefaultsAreThoseOfTransformers) {
  const ModelConfig llama = parsed("{}");
  EXPECT_EQ(llama.head_dim, 8);
  EXPECT_FLOAT_EQ(llama.rms_norm_eps, 1e-6f);
  EXPECT_EQ(llama.rope.theta, 10000.0);
  EXPECT_EQ(llama.rope.kind, RopeKind::standard);
  EXPECT_FALSE(llama.tie_word_embeddings);
  EXPECT_EQ(llama.sliding_window, 0);
  EXPECT_EQ(parsed(R"({"num_key_value_heads":null})").num_kv_heads, 8);

  const ModelConfig ernie = parsed(R"({"architectures":["Ernie4_5ForCausalLM"],"use_bias":true})");
  EXPECT_EQ(ernie.head_dim, 128);
  EXPECT_FLOAT_EQ(ernie.rms_norm_eps, 1e-5f);
  EXPECT_EQ(ernie.rope.theta, 500000.0);
  EXPECT_TRUE(ernie.tie_word_embeddings);
  EXPECT_TRUE(ernie.attention_bias);
  EXPECT_TRUE(ernie.mlp_bias);
  EXPECT_EQ(parsed(R"({"architectures":["Ernie4_5ForCausalLM"],"head_dim":null})").head_dim, 8);
  EXPECT_EQ(parsed(R"({"architectures":["Qwen3ForCausalLM"]})").head_dim, 128);
  EXPECT_EQ(parsed(R"({"architectures":null,"model_type":"qwen2"})").architecture, "Qwen2ForCausalLM");
}

TEST(ModelConfig, ReadsTheRest) {
  const ModelConfig config =
      parsed(R"({"head_dim":16,"rms_norm_eps":1e-5,"tie_word_embeddings":true,"mlp_bias":true,
    "hidden_act":"gelu","torch_dtype":"torch.bfloat16","bos_token_id":1,"eos_token_id":[2,3],"pad_token_id":-1})");
  EXPECT_EQ(config.head_dim, 16);
  EXPECT_TRUE(config.mlp_bias);
  EXPECT_FALSE(config.attention_bias);
  EXPECT_EQ(config.hidden_act, "gelu");
  EXPECT_EQ(config.torch_dtype, "bfloat16");
  EXPECT_EQ(config.bos_token_id, 1);
  EXPECT_THAT(config.eos_token_ids, ElementsAre(2, 3));
  EXPECT_EQ(config.pad_token_id, std::nullopt);
  EXPECT_EQ(parsed(R"({"dtype":"float16"})").torch_dtype, "float16");
}

TEST(ModelConfig, RotaryOfOlderAndNewerForm) {
  const auto llama3 =
      parsed(R"({"rope_theta":5e5,"rope_scaling":{"rope_type":"llama3","factor":8,"low_freq_factor":1,
    "high_freq_factor":4.0,"original_max_position_embeddings":128}})")
          .rope;
  EXPECT_EQ(llama3.kind, RopeKind::llama3);
  EXPECT_EQ(llama3.theta, 5e5);
  EXPECT_EQ(llama3.factor, 8.0);
  EXPECT_EQ(llama3.high_freq_factor, 4.0);
  EXPECT_EQ(llama3.original_max_position_embeddings, 128);

  const auto yarn =
      parsed(R"({"rope_theta":1,"rope_parameters":{"rope_type":"yarn","rope_theta":1e6,"factor":4.0,
    "beta_fast":16,"attention_factor":1.5,"mscale":0.7,"truncate":false}})")
          .rope;
  EXPECT_EQ(yarn.kind, RopeKind::yarn);
  EXPECT_EQ(yarn.theta, 1e6);
  EXPECT_EQ(yarn.beta_fast, 16.0);
  EXPECT_EQ(yarn.beta_slow, 1.0);
  EXPECT_EQ(yarn.attention_factor, 1.5);
  EXPECT_EQ(yarn.mscale, 0.7);
  EXPECT_FALSE(yarn.truncate);
  EXPECT_EQ(yarn.original_max_position_embeddings, 512);

  const auto linear = parsed(R"({"rope_scaling":{"type":"linear","factor":2.5}})").rope;
  EXPECT_EQ(linear.kind, RopeKind::linear);
  EXPECT_EQ(linear.factor, 2.5);
  EXPECT_EQ(parsed(R"({"rope_scaling":{"type":"dynamic","factor":2}})").rope.kind, RopeKind::dynamic);
  EXPECT_EQ(parsed(R"({"rope_scaling":null,"rope_parameters":{"rope_theta":7.0}})").rope.theta, 7.0);
  EXPECT_EQ(
      parsed(
          R"({"rope_parameters":{"full_attention":{"rope_theta":9.0},"sliding_attention":{"rope_theta":9.0}}})")
          .rope.theta,
      9.0);
}

TEST(ModelConfig, RefusesWrongRotarySettings) {
  EXPECT_THAT(error_with(R"({"rope_scaling":{"type":"longrope"}})"),
              HasSubstr("'longrope' is not supported"));
  EXPECT_THAT(error_with(R"({"rope_scaling":{"type":"linear"}})"), HasSubstr("'factor' is missing"));
  EXPECT_THAT(error_with(R"({"rope_scaling":{"type":"linear","factor":0}})"), HasSubstr("factor"));
  EXPECT_THAT(error_with(R"({"rope_scaling":7})"), HasSubstr("expected an object"));
  EXPECT_THAT(error_with(R"({"rope_theta":-5})"), HasSubstr("rope_theta is -5"));
  EXPECT_THAT(error_with(R"({"rope_theta":"big"})"), HasSubstr("expected a finite number"));
  EXPECT_THAT(
      error_with(
          R"({"rope_scaling":{"rope_type":"llama3","factor":8,"low_freq_factor":4,"high_freq_factor":4}})"),
      HasSubstr("0 < low < high"));
  EXPECT_THAT(error_with(R"({"partial_rotary_factor":1.5})"), HasSubstr("partial_rotary_factor"));
  EXPECT_THAT(
      error_with(
          R"({"architectures":["Qwen2ForCausalLM"],"sliding_window":16,"use_sliding_window":true,"max_window_layers":3,
              "rope_parameters":{"full_attention":{"rope_theta":9.0},"sliding_attention":{"rope_theta":8.0}}})"),
      HasSubstr("differs between layers"));
}

TEST(ModelConfig, SlidingWindows) {
  const auto windows = [](const ModelConfig& config) {
    std::vector<int64_t> all;
    for (int64_t i = 0; i < config.num_layers; ++i) all.push_back(config.window_of_layer(i));
    return all;
  };
  EXPECT_THAT(windows(parsed(R"({"sliding_window":16})")), ElementsAre(0, 0, 0, 0));  // Llama has none
  EXPECT_THAT(windows(parsed(R"({"architectures":["MistralForCausalLM"],"sliding_window":16})")),
              ElementsAre(16, 16, 16, 16));
  EXPECT_THAT(windows(parsed(R"({"architectures":["MistralForCausalLM"]})")),
              ElementsAre(4096, 4096, 4096, 4096));
  EXPECT_THAT(windows(parsed(R"({"architectures":["MistralForCausalLM"],"sliding_window":null})")),
              ElementsAre(0, 0, 0, 0));
  EXPECT_THAT(windows(parsed(R"({"architectures":["Qwen2ForCausalLM"],"sliding_window":16})")),
              ElementsAre(0, 0, 0, 0));
  EXPECT_THAT(
      windows(parsed(R"({"architectures":["Qwen2ForCausalLM"],"sliding_window":16,"use_sliding_window":true,
    "max_window_layers":3})")),
      ElementsAre(0, 0, 0, 16));
  EXPECT_THAT(
      windows(parsed(R"({"architectures":["Qwen3ForCausalLM"],"sliding_window":16,"use_sliding_window":true,
    "layer_types":["sliding_attention","full_attention","sliding_attention","full_attention"]})")),
      ElementsAre(16, 0, 16, 0));
  EXPECT_THAT(
      error_with(R"({"architectures":["Qwen3ForCausalLM"],"sliding_window":16,"use_sliding_window":true,
    "layer_types":["sliding_attention"]})"),
      HasSubstr("list of 4"));
}

TEST(ModelConfig, RefusesMissingWrongAndAbsurdSizes) {
  for (std::string_view key : {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
                               "num_attention_heads", "max_position_embeddings"}) {
    for (std::string_view value : {"null", "0", "-1", "\"x\"", "1.5", "9223372036854775807",
                                   "18446744073709551615", "[]", "4611686018427387904"}) {
      const std::string error = error_with(fmt::format("{{\"{}\":{}}}", key, value));
      EXPECT_THAT(error, HasSubstr(fmt::format("config.json: '{}' is ", key))) << value;
    }
  }
  EXPECT_THAT(error_with(R"({"num_key_value_heads":3})"),
              HasSubstr("8 attention heads cannot be shared by 3"));
  EXPECT_THAT(error_with(R"({"num_key_value_heads":16})"), HasSubstr("cannot be shared"));
  EXPECT_THAT(error_with(R"({"head_dim":7})"), HasSubstr("must be even"));
  EXPECT_THAT(error_with(R"({"hidden_size":65})"), HasSubstr("no multiple"));
  EXPECT_THAT(error_with(R"({"rms_norm_eps":-1})"), HasSubstr("rms_norm_eps"));
  EXPECT_THAT(error_with(R"({"tie_word_embeddings":1})"), HasSubstr("expected true or false"));
  EXPECT_THAT(error_with(R"({"quantization_config":{"quant_method":"gptq"}})"), HasSubstr("quantised"));
}

TEST(ModelConfig, RefusesWhatIsNoModel) {
  EXPECT_THAT(error_with(R"({"architectures":null,"model_type":null})"), HasSubstr("family is unknown"));
  EXPECT_THAT(error_with(R"({"architectures":null,"model_type":"gpt9"})"),
              HasSubstr("known are llama, mistral"));
  EXPECT_THAT(error_with(R"({"architectures":[],"model_type":null})"), HasSubstr("architectures"));
  EXPECT_THAT(error_with(R"({"architectures":[7]})"), HasSubstr("architectures"));
  EXPECT_THAT(error_of<Error>([] { parse_model_config(Json::parse("[1]"), "c"); }),
              HasSubstr("expected a JSON object"));
  EXPECT_THAT(error_of<Error>([] { load_model_config("/no/such/folder"); }), HasSubstr("/no/such/folder"));
  TemporaryFolder folder;
  EXPECT_THAT(error_of<Error>([&] { load_model_config(folder.path()); }), HasSubstr("config.json"));
  folder.write("config.json", "{\"a\":");
  EXPECT_THAT(error_of<Error>([&] { load_model_config(folder.path()); }), HasSubstr("malformed JSON"));
}

TEST(GenerationDefaults, ReadsAndChecks) {
  const auto defaults = parse_generation_defaults(
      Json::parse(
          R"({"do_sample":true,"temperature":0.6,"top_k":20,"top_p":0.95,"min_p":null,"eos_token_id":[1,2]})"),
      "g");
  EXPECT_EQ(defaults.do_sample, true);
  EXPECT_EQ(defaults.temperature, 0.6);
  EXPECT_EQ(defaults.top_k, 20);
  EXPECT_EQ(defaults.top_p, 0.95);
  EXPECT_EQ(defaults.min_p, std::nullopt);
  EXPECT_THAT(defaults.eos_token_ids, ElementsAre(1, 2));
  EXPECT_THAT(parse_generation_defaults(Json::parse(R"({"eos_token_id":7})"), "g").eos_token_ids,
              ElementsAre(7));
  EXPECT_THROW(parse_generation_defaults(Json::parse("[]"), "g"), Error);
  TemporaryFolder folder;
  EXPECT_THAT(load_generation_defaults(folder.path()).eos_token_ids, IsEmpty());
}

// What makers recommend is optional: a value that cannot be used is named in a warning and left out.
TEST(GenerationDefaults, NoValueStopsALoad) {
  const auto read = [](std::string_view text) {
    return parse_generation_defaults(parse_json(text, "g", kCheckpointJson), "g");
  };
  for (std::string_view right :
       {R"({"top_k":-1,"do_sample":false})", R"({"top_k":50})", R"({"temperature":0})",
        R"({"temperature":null})", "{}", R"({"unused":NaN,"other":[Infinity]})",
        R"({"eos_token_id":null,"pad_token_id":[1]})", R"({"eos_token_id":-1})"})
    EXPECT_THAT(read(right).warnings, IsEmpty()) << right;
  EXPECT_EQ(read(R"({"top_k":-1})").top_k, 0);
  EXPECT_EQ(read(R"({"temperature":0.0})").temperature, 0.0);
  for (std::string_view wrong :
       {R"({"temperature":-1})", R"({"top_p":1.5})", R"({"top_k":-2})", R"({"min_p":"x"})",
        R"({"repetition_penalty":0})", R"({"do_sample":1})", R"({"temperature":NaN})",
        R"({"eos_token_id":2.0})", R"({"eos_token_id":"x"})"}) {
    const GenerationDefaults defaults = read(wrong);
    ASSERT_EQ(defaults.warnings.size(), 1u) << wrong;
    EXPECT_THAT(defaults.warnings[0], HasSubstr("ignored")) << wrong;
    EXPECT_FALSE(defaults.temperature || defaults.top_p || defaults.top_k || defaults.min_p ||
                 defaults.do_sample || defaults.repetition_penalty)
        << wrong;
    EXPECT_THAT(defaults.eos_token_ids, IsEmpty());
  }
  EXPECT_THAT(read(R"({"eos_token_id":[2,2.0,3,2,null,-1]})").eos_token_ids, ElementsAre(2, 3));
}

TEST(GenerationDefaults, AFileThatCannotBeUsedIsAWarning) {
  TemporaryFolder folder;
  folder.write("generation_config.json", "");
  EXPECT_THAT(load_generation_defaults(folder.path()).warnings, IsEmpty());
  folder.write("generation_config.json", "{}\n");
  EXPECT_THAT(load_generation_defaults(folder.path()).warnings, IsEmpty());
  for (std::string_view wrong : {"{\"a\":", "[]", "<html>"}) {
    folder.write("generation_config.json", wrong);
    EXPECT_THAT(load_generation_defaults(folder.path()).warnings,
                ElementsAre(HasSubstr("generation_config.json")));
  }
}

// Each of these loads in transformers and llama.cpp with the same numbers as without it.
TEST(ModelConfig, WhatChangesNoNumberIsAccepted) {
  const ModelConfig plain = parsed("{}");
  for (std::string_view patch :
       {R"({"head_dim":null})",
        R"({"rope_scaling":null})",
        R"({"rope_scaling":{}})",
        R"({"rope_scaling":{"type":"default"}})",
        R"({"rope_scaling":{"rope_type":"default","factor":8.0}})",
        R"({"rope_scaling":{"type":"some-new-kind","factor":1.0}})",
        R"({"rope_scaling":{"type":null}})",
        R"({"rope_scaling":{"type":"mrope","mrope_section":[16,24,24]}})",
        R"({"rope_scaling":{"rope_type":"llama3","factor":1.0,"low_freq_factor":1,"high_freq_factor":1}})",
        R"({"quantization_config":null})",
        R"({"quantization_config":{}})",
        R"({"pad_token_id":-1})",
        R"({"pad_token_id":[7,8]})",
        R"({"torch_dtype":null})",
        R"({"torch_dtype":{"":"bfloat16"}})",
        R"({"dtype":5})",
        R"({"bos_token_id":1.0})",
        R"({"sliding_window":0})",
        R"({"use_sliding_window":7})",
        R"({"layer_types":["x"]})",
        R"({"unused":NaN,"other":-Infinity})",
        R"({"attention_bias":null})",
        R"({"architectures":["LlamaModel"]})",
        R"({"architectures":[]})",
        R"({"rope_parameters":{"full_attention":{"rope_theta":10000.0},
            "sliding_attention":{"rope_theta":5.0}}})"}) {
    Json json = base();
    const Json fields = parse_json(patch, "patch", kCheckpointJson);
    for (const auto& [key, value] : fields.items()) json[key] = value;
    ModelConfig config;
    ASSERT_NO_THROW(config = parse_model_config(json, "c")) << patch;
    EXPECT_EQ(config.architecture, plain.architecture) << patch;
    EXPECT_EQ(config.head_dim, plain.head_dim) << patch;
    EXPECT_EQ(config.rope.kind, plain.rope.kind) << patch;
    EXPECT_EQ(config.rope.theta, plain.rope.theta) << patch;
    EXPECT_EQ(config.sliding_window, 0) << patch;
  }
  const auto mistral = [](std::string_view window) {
    return parsed(fmt::format(R"({{"architectures":["MistralForCausalLM"],"sliding_window":{}}})", window));
  };
  EXPECT_EQ(mistral("4611686018427387904").window_of_layer(0), int64_t{1} << 30);
  EXPECT_EQ(mistral("null").window_of_layer(0), 0);
  EXPECT_EQ(parsed(R"({"architectures":["Qwen2ForCausalLM"],"sliding_window":-1,"use_sliding_window":false})")
                .window_of_layer(0),
            0);
}

TEST(ModelConfig, WhatWouldChangeNumbersIsRefusedByName) {
  EXPECT_THAT(
      error_with(R"({"rope_scaling":{"type":"longrope","factor":1.0,"short_factor":[1],"long_factor":[2]}})"),
      HasSubstr("'longrope' is not supported"));
  EXPECT_THAT(error_with(R"({"rope_scaling":{"type":"some-new-kind","factor":2.0}})"),
              HasSubstr("'some-new-kind'"));
  EXPECT_THAT(error_with(R"({"architectures":["MistralForCausalLM"],"sliding_window":0})"),
              HasSubstr("sliding_window"));
  const Json json = parse_json(R"({"rms_norm_eps":NaN})", "patch", kCheckpointJson);
  Json changed_config = base();
  changed_config["rms_norm_eps"] = json["rms_norm_eps"];
  EXPECT_THAT(error_of<Error>([&] { parse_model_config(changed_config, "c"); }),
              HasSubstr("'rms_norm_eps' is NaN, expected a finite number"));
}

TEST(ModelConfig, EndIdsComeFromEverywhereAndWrongOnesAreNamed) {
  EXPECT_THAT(parsed(R"({"eos_token_id":[2,3,2],"text_config":{"eos_token_id":[3,4]}})").eos_token_ids,
              ElementsAre(2, 3, 4));
  EXPECT_THAT(parsed(R"({"eos_token_id":null,"text_config":{"eos_token_id":4}})").eos_token_ids,
              ElementsAre(4));
  EXPECT_THAT(parsed(R"({"text_config":null})").eos_token_ids, IsEmpty());
  const ModelConfig config = parsed(R"({"eos_token_id":[2.0,99,100,18446744073709551615,"x",-1,null]})");
  EXPECT_THAT(config.eos_token_ids, ElementsAre(99));
  EXPECT_THAT(config.warnings,
              ElementsAre(HasSubstr("config.json: 'eos_token_id' has 2.0, which is no token id")));
  EXPECT_THAT(parsed(R"({"bos_token_id":100})").warnings,
              ElementsAre(HasSubstr("outside the vocabulary of 100")));
}

TEST(ModelConfig, AFileThatIsNoConfigurationIsCalledWhatItIs) {
  TemporaryFolder folder;
  const auto error = [&](const std::filesystem::path& path) {
    return error_of<Error>([&] { load_model_config(path); });
  };
  const auto pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 1234\n";
  EXPECT_THAT(error(folder.write("m.safetensors", pointer)), HasSubstr("m.safetensors is a Git LFS pointer"));
  EXPECT_THAT(error(folder.write("m.gguf", pointer)), HasSubstr("m.gguf is a Git LFS pointer"));
  EXPECT_THAT(
      error(folder.write("n.safetensors", std::string("\2\0\0\0\0\0\0\0{}", 10))),
      HasSubstr("is one file of a checkpoint, its weights without a configuration; give its folder with"));
  folder.write("config.json", "<!DOCTYPE html>");
  EXPECT_THAT(error(folder.path()), HasSubstr("config.json is an HTML page"));
  EXPECT_THAT(error(folder.write("tokenizer.json", "{}")),
              HasSubstr(fmt::format("give its folder, {}, or a .gguf", folder.path().string())));
  EXPECT_THAT(error(folder.write("pytorch_model.bin", "PK\3\4....")), HasSubstr("is a zip archive"));
  folder.write("config.json", "");
  EXPECT_THAT(error(folder.path()), HasSubstr("config.json is empty"));
}

}  // namespace
}  // namespace reprise::weights
