#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "tests/weights/file_builders.h"
#include "weights/gguf_checkpoint.h"
#include "weights/model_config.h"

namespace reprise::weights {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr uint32_t kF32 = 0;

GgufBuilder model(const std::string& arch) {
  GgufBuilder builder;
  builder.text("general.architecture", arch)
      .u32(arch + ".embedding_length", 32)
      .u32(arch + ".block_count", 2);
  builder.u32(arch + ".feed_forward_length", 48).u32(arch + ".attention.head_count", 4);
  builder.u32(arch + ".attention.head_count_kv", 2).u32(arch + ".context_length", 256);
  builder.tensor("token_embd.weight", {32, 10}, kF32, std::string(32 * 10 * 4, '\0'));
  return builder;
}

ModelConfig config_of(const GgufBuilder& builder) {
  TemporaryFolder folder;
  return load_model_config(folder.write("m.gguf", builder.build()));
}

std::string error_with(const GgufBuilder& builder) {
  return error_of<Error>([&] { config_of(builder); });
}

TEST(GgufConfig, ReadsEveryFamily) {
  const std::vector<std::pair<std::string, std::string>> families = {{"llama", "LlamaForCausalLM"},
                                                                     {"mistral", "MistralForCausalLM"},
                                                                     {"qwen2", "Qwen2ForCausalLM"},
                                                                     {"qwen3", "Qwen3ForCausalLM"},
                                                                     {"ernie4_5", "Ernie4_5ForCausalLM"}};
  for (const auto& [arch, name] : families) {
    GgufBuilder builder = model(arch);
    builder.u32(arch + ".attention.key_length", 16).f32(arch + ".attention.layer_norm_rms_epsilon", 1e-5f);
    builder.f32(arch + ".rope.freq_base", 1e6f)
        .u32("tokenizer.ggml.eos_token_id", 3)
        .u32("tokenizer.ggml.eot_token_id", 4);
    const ModelConfig config = config_of(builder);
    EXPECT_EQ(config.architecture, name);
    EXPECT_EQ(config.vocab_size, 10);
    EXPECT_EQ(config.head_dim, 16);
    EXPECT_EQ(config.num_kv_heads, 2);
    EXPECT_EQ(config.rope.theta, 1e6);
    EXPECT_FLOAT_EQ(config.rms_norm_eps, 1e-5f);
    EXPECT_TRUE(config.tie_word_embeddings);
    EXPECT_FALSE(config.attention_bias);
    EXPECT_THAT(config.eos_token_ids, ElementsAre(3, 4));
  }
}

TEST(GgufConfig, ReadsOffTheTensorsWhatMetadataLacks) {
  GgufBuilder builder = model("llama");
  builder.tensor("output.weight", {32, 10}, kF32, std::string(1280, '\0'));
  builder.tensor("blk.0.attn_q.bias", {32}, kF32, std::string(128, '\0'));
  builder.tensor("rope_freqs.weight", {4}, kF32, float_bytes({1, 2, 4, 8}));
  const ModelConfig config = config_of(builder);
  EXPECT_FALSE(config.tie_word_embeddings);
  EXPECT_TRUE(config.attention_bias);
  EXPECT_FALSE(config.mlp_bias);
  EXPECT_THAT(config.rope.frequency_divisors, ElementsAre(1, 2, 4, 8));
}

TEST(GgufConfig, RotaryScaling) {
  GgufBuilder yarn = model("qwen2");
  yarn.text("qwen2.rope.scaling.type", "yarn").f32("qwen2.rope.scaling.factor", 4.0f);
  yarn.u32("qwen2.rope.scaling.original_context_length", 64);
  const RopeConfig rope = config_of(yarn).rope;
  EXPECT_EQ(rope.kind, RopeKind::yarn);
  EXPECT_EQ(rope.factor, 4.0);
  EXPECT_EQ(rope.original_max_position_embeddings, 64);
  EXPECT_EQ(config_of(model("qwen2").f32("qwen2.rope.scale_linear", 2.0f)).rope.kind, RopeKind::linear);
  EXPECT_THAT(error_with(model("qwen2").text("qwen2.rope.scaling.type", "longrope")),
              HasSubstr("'longrope'"));
}

TEST(GgufConfig, RefusesWhatDoesNotFit) {
  EXPECT_THAT(error_with(model("gpt9")), HasSubstr("'gpt9' is not known; known are llama"));
  EXPECT_THAT(error_with(GgufBuilder()), HasSubstr("general.architecture"));
  EXPECT_THAT(error_with(GgufBuilder().text("general.architecture", "llama")),
              HasSubstr("token_embd.weight"));
  GgufBuilder sparse;
  sparse.text("general.architecture", "llama")
      .tensor("token_embd.weight", {32, 10}, kF32, std::string(1280, '\0'));
  EXPECT_THAT(error_with(sparse), HasSubstr("'llama.embedding_length' is missing"));
  EXPECT_THAT(error_with(model("llama").u32("llama.attention.key_length", 0)), HasSubstr("is 0, expected"));
  EXPECT_THAT(
      error_with(model("llama").u32("llama.attention.key_length", 8).u32("llama.attention.value_length", 4)),
      HasSubstr("differ"));
  EXPECT_THAT(error_with(model("llama").f32("llama.rope.freq_base", -1.0f)), HasSubstr("rope_theta"));
  EXPECT_THAT(error_with(model("llama").tensor("rope_freqs.weight", {3}, kF32, float_bytes({1, 1, 1}))),
              HasSubstr("expected 4 numbers"));
  EXPECT_THAT(error_with(model("llama").tensor("rope_freqs.weight", {4}, kF32, float_bytes({1, 0, 1, 1}))),
              HasSubstr("positive divisors"));
}

TEST(GgufNames, AreThoseOfHuggingFace) {
  EXPECT_EQ(hf_name_of_gguf("token_embd.weight"), "model.embed_tokens.weight");
  EXPECT_EQ(hf_name_of_gguf("output.weight"), "lm_head.weight");
  EXPECT_EQ(hf_name_of_gguf("output_norm.weight"), "model.norm.weight");
  EXPECT_EQ(hf_name_of_gguf("blk.12.attn_q.bias"), "model.layers.12.self_attn.q_proj.bias");
  EXPECT_EQ(hf_name_of_gguf("blk.3.attn_output.weight"), "model.layers.3.self_attn.o_proj.weight");
  EXPECT_EQ(hf_name_of_gguf("blk.3.attn_k_norm.weight"), "model.layers.3.self_attn.k_norm.weight");
  EXPECT_EQ(hf_name_of_gguf("blk.0.ffn_norm.weight"), "model.layers.0.post_attention_layernorm.weight");
  EXPECT_EQ(hf_name_of_gguf("blk.0.ffn_down.weight"), "model.layers.0.mlp.down_proj.weight");
  for (const char* same :
       {"rope_freqs.weight", "blk.x.attn_q.weight", "blk..attn_q.weight", "blk.1", "blk.", "", "."})
    EXPECT_EQ(hf_name_of_gguf(same), same);
}

// Some writers give one number for each layer.
TEST(GgufConfig, ListsOfOneValueAreThatValue) {
  GgufBuilder builder;
  builder.text("general.architecture", "llama").u32("llama.embedding_length", 32).u32("llama.block_count", 2);
  builder.numbers<uint32_t>("llama.feed_forward_length", 4, {48, 48})
      .numbers<int32_t>("llama.attention.head_count", 5, {4, 4})
      .u32("llama.context_length", 256);
  GgufBuilder equal = builder, unequal = builder, empty = builder, wrong = builder;
  const auto with_embedding = [](GgufBuilder& b) -> GgufBuilder& {
    return b.tensor("token_embd.weight", {32, 10}, kF32, std::string(32 * 10 * 4, '\0'));
  };
  equal.numbers<uint32_t>("llama.attention.head_count_kv", 4, {2, 2});
  with_embedding(equal).tensor("blk.0.attn_k.weight", {32, 16}, kF32, std::string(32 * 16 * 4, '\0'));
  const ModelConfig config = config_of(equal);
  EXPECT_EQ(config.num_heads, 4);
  EXPECT_EQ(config.num_kv_heads, 2);
  EXPECT_EQ(config.intermediate_size, 48);
  TemporaryFolder folder;  // the order of rows depends on the heads too
  EXPECT_NO_THROW(GgufCheckpoint(folder.write("m.gguf", equal.build())));

  unequal.numbers<uint32_t>("llama.attention.head_count_kv", 4, {2, 1});
  EXPECT_THAT(error_with(with_embedding(unequal)),
              HasSubstr("'llama.attention.head_count_kv' differs between layers (2 and 1)"));
  empty.numbers<uint32_t>("llama.attention.head_count_kv", 4, {});
  EXPECT_THAT(error_with(with_embedding(empty)),
              HasSubstr("head_count_kv' is of type array, expected an integer"));
  wrong.numbers<float>("llama.attention.head_count_kv", 6, {2.0f});
  EXPECT_THAT(error_with(with_embedding(wrong)),
              HasSubstr("head_count_kv' is of type array, expected an integer"));
}

TEST(GgufConfig, AMatrixForBothMayHaveEitherName) {
  GgufBuilder builder;
  builder.text("general.architecture", "qwen2").u32("qwen2.embedding_length", 32).u32("qwen2.block_count", 2);
  builder.u32("qwen2.feed_forward_length", 48)
      .u32("qwen2.attention.head_count", 4)
      .u32("qwen2.context_length", 256);
  GgufBuilder both = builder;
  builder.tensor("output.weight", {32, 10}, kF32, std::string(32 * 10 * 4, '\0'));
  EXPECT_TRUE(config_of(builder).tie_word_embeddings);
  EXPECT_EQ(config_of(builder).vocab_size, 10);
  both.tensor("output.weight", {32, 10}, kF32, std::string(32 * 10 * 4, '\0'))
      .tensor("token_embd.weight", {32, 10}, kF32, std::string(32 * 10 * 4, '\0'));
  EXPECT_FALSE(config_of(both).tie_word_embeddings);
}

TEST(GgufConfig, IdsOutsideTheVocabularyAreNamed) {
  GgufBuilder builder = model("llama");
  builder.u32("tokenizer.ggml.eos_token_id", 10).u32("tokenizer.ggml.eot_token_id", 9);
  builder.u32("tokenizer.ggml.padding_token_id", 0xffffffffu);
  const ModelConfig config = config_of(builder);
  EXPECT_THAT(config.eos_token_ids, ElementsAre(9));
  EXPECT_EQ(config.pad_token_id, std::nullopt);
  EXPECT_THAT(config.warnings, ElementsAre(HasSubstr("eos_token_id' is 10, outside the vocabulary of 10")));
}

TEST(GgufConfig, ExpertsAndScalingsThatChangeNumbersAreRefusedByName) {
  GgufBuilder experts = model("llama");
  experts.u32("llama.expert_count", 8);
  EXPECT_THAT(error_with(experts), HasSubstr("'llama.expert_count' is 8"));
  GgufBuilder none = model("llama");
  none.u32("llama.expert_count", 0);
  EXPECT_EQ(error_with(none), "");
  GgufBuilder yarn = model("llama");
  yarn.text("llama.rope.scaling.type", "yarn").f32("llama.rope.scaling.factor", 4.0f);
  yarn.f32("llama.rope.scaling.yarn_ext_factor", -1.0f).f32("llama.rope.scaling.yarn_attn_factor", 1.0f);
  EXPECT_EQ(error_with(yarn), "");
  yarn.f32("llama.rope.scaling.attn_factor", 2.0f);
  EXPECT_THAT(error_with(yarn), HasSubstr("'rope.scaling.attn_factor' is 2, only 1 is supported"));
}

}  // namespace
}  // namespace reprise::weights
