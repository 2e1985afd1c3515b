// A family from outside the tree: it computes what one of ours does, bit by bit, and whatever it does wrong
// is an error that says so when the model is loaded.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <stdexcept>

#include "api/model_access.h"
#include "codegen/compiler_process.h"
#include "core/json.h"
#include "models/registry.h"
#include "ops/registry.h"
#include "reprise/reprise.h"
#include "source_dir.h"
#include "tests/api/plain_llama.h"

namespace reprise {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// The repository's tiny model, its config.json patched.
std::string tiny_as(const std::string& name, const Json& patch) {
  namespace fs = std::filesystem;
  const fs::path folder = fs::path(testing::TempDir()) / ("reprise_" + name);
  fs::create_directories(folder);
  const fs::path source = REPRISE_SOURCE_DIR "/models/tiny";
  for (const char* file : {"model.safetensors", "tokenizer.json"})
    fs::copy_file(source / file, folder / file, fs::copy_options::overwrite_existing);
  Json config = read_json_file(source / "config.json");
  config.merge_patch(patch);
  std::ofstream(folder / "config.json") << config;
  return folder.string();
}

// The tiny model as one of `family`, registered.
std::string registered(ModelFamily family) {
  const std::string architecture = family.architecture;
  register_model_family(std::move(family));
  return tiny_as(architecture, {{"architectures", {architecture}}});
}

std::vector<TokenLogprob> answers(const LoadOptions& options) {
  LanguageModel model = LanguageModel::load(options);
  Prompt prompt{.text = "It was a"};
  prompt.sampling.temperature = 0;
  prompt.sampling.max_tokens = 20;
  prompt.sampling.logprobs = 4;
  prompt.sampling.prompt_logprobs = 2;
  const Result result = model.generate({prompt, prompt})[1];
  EXPECT_EQ(result.error, "");
  std::vector<TokenLogprob> list = result.outputs.at(0).logprobs;
  list.insert(list.end(), result.prompt_logprobs.begin(), result.prompt_logprobs.end());
  return list;
}

void expect_same_bits(const std::vector<TokenLogprob>& a, const std::vector<TokenLogprob>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].token_id, b[i].token_id) << i;
    EXPECT_EQ(a[i].logprob, b[i].logprob) << i;
  }
}

// Whether this build has the program that makes code. Said where it has not.
bool can_compile() {
  try {
    codegen::CompilerProcess().name();
    return true;
  } catch (const std::runtime_error& error) {
    std::cerr << "level 2 is not tried: " << error.what() << '\n';
    return false;
  }
}

template <typename Action>
std::string message_of(Action&& action) {
  try {
    action();
  } catch (const std::runtime_error& e) {
    return e.what();
  }
  return "nothing was thrown";
}

std::string load_error(const ModelFamily& family) {
  return message_of([&] { LanguageModel::load({.model = registered(family), .max_model_len = 64}); });
}

TEST(CustomModel, ComputesTheBitsOfOurOwn) {
  const std::string outside = registered(plain_llama("OutsideLlama"));
  for (const char* dtype : {"float32", "bfloat16"})
    expect_same_bits(answers({.model = outside, .dtype = dtype}),
                     answers({.model = REPRISE_SOURCE_DIR "/models/tiny", .dtype = dtype}));
  EXPECT_FALSE(models::find_family("OutsideLlama").supports_graph_optimization);
}

TEST(CustomModel, TheFieldReachesTheRegistry) {
  ModelFamily family = plain_llama("OutsideGraphLlama");
  family.supports_graph_optimization = true;
  register_model_family(family);
  EXPECT_TRUE(models::find_family("OutsideGraphLlama").supports_graph_optimization);
}

TEST(CustomModel, ConfigMayHaveNamesOfItsOwn) {
  ModelFamily family = plain_llama("RenamedLlama");
  family.prepare_config = [](ConfigFields& config) {
    config.set("hidden_size", *config.integer("n_embd"));
    config.set("rms_norm_eps", *config.number("eps"));
    config.set("tie_word_embeddings", config.boolean("tied").value_or(true));
  };
  std::string extra;
  family.make = [&](WeightReader& weights) {
    extra = weights.shape().config.string("flavour").value_or("none");
    EXPECT_FALSE(weights.shape().config.has("hidden_act_of_no_model"));
    EXPECT_THAT(weights.shape().config.text(), HasSubstr("\"n_embd\":128"));
    EXPECT_THAT(message_of([&] { weights.shape().config.integer("flavour"); }),
                AllOf(HasSubstr("flavour"), HasSubstr("RenamedLlama")));
    return std::make_unique<PlainLlama>(weights, Twist{});
  };
  register_model_family(family);
  const std::string folder = tiny_as("RenamedLlama", {{"architectures", {"RenamedLlama"}},
                                                      {"hidden_size", nullptr},
                                                      {"rms_norm_eps", nullptr},
                                                      {"tie_word_embeddings", nullptr},
                                                      {"n_embd", 128},
                                                      {"eps", 1e-5},
                                                      {"flavour", "plain"}});
  expect_same_bits(answers({.model = folder}), answers({.model = REPRISE_SOURCE_DIR "/models/tiny"}));
  EXPECT_EQ(extra, "plain");
  // Registered anew without it, the config lacks what it set.
  register_model_family(plain_llama("RenamedLlama"));
  EXPECT_THAT(message_of([&] { LanguageModel::load({.model = folder}); }), HasSubstr("hidden_size"));
}

TEST(CustomModel, UnregisteredOnesAreRefused) {
  const std::string folder = tiny_as("nobody", {{"architectures", {"NobodyForCausalLM"}}});
  EXPECT_THAT(message_of([&] { LanguageModel::load({.model = folder}); }),
              AllOf(HasSubstr("NobodyForCausalLM"), HasSubstr("LlamaForCausalLM")));
}

TEST(CustomModel, IncompleteFamiliesAreRefused) {
  EXPECT_THAT(message_of([] { register_model_family({.architecture = "Empty"}); }),
              AllOf(HasSubstr("Empty"), HasSubstr("make")));
  ModelFamily nameless = plain_llama("");
  EXPECT_THAT(message_of([&] { register_model_family(nameless); }), HasSubstr("architecture"));
  ModelFamily misspelt = plain_llama("Misspelt");
  misspelt.inputs.push_back("token_id");
  EXPECT_THAT(message_of([&] { register_model_family(misspelt); }),
              AllOf(HasSubstr("Misspelt"), HasSubstr("'token_id'"), HasSubstr("token_ids")));
  ModelFamily nothing = plain_llama("Nothing");
  nothing.make = [](WeightReader&) { return nullptr; };
  EXPECT_THAT(load_error(nothing), AllOf(HasSubstr("Nothing"), HasSubstr("make")));
}

TEST(CustomModel, OnlyDeclaredInputsMayBeUsed) {
  for (const std::string& name : kAllInputs) {
    ModelFamily family = plain_llama("Undeclared");
    std::erase(family.inputs, name);
    EXPECT_THAT(load_error(family),
                AllOf(HasSubstr("Undeclared"), HasSubstr("'" + name + "'"), HasSubstr("declare")));
  }
  const Twist twist{.in_forward = [](const ModelInputs& inputs, const Value&) { inputs["ids"]; }};
  EXPECT_THAT(load_error(plain_llama("Unknown", twist)), AllOf(HasSubstr("'ids'"), HasSubstr("token_ids")));
  const Twist beyond{.in_forward = [](const ModelInputs& inputs, const Value&) { inputs.kv_cache(5); }};
  EXPECT_THAT(load_error(plain_llama("Beyond", beyond)), AllOf(HasSubstr("layer 5"), HasSubstr("5 layers")));
}

TEST(CustomModel, WrongOutputsAreRefused) {
  EXPECT_THAT(
      load_error(plain_llama("AllLogits", {.all_logits = true})),
      AllOf(HasSubstr("AllLogits"), HasSubstr("logits"), HasSubstr("[T, 1536]"), HasSubstr("[R, 1536]")));
}

TEST(CustomModel, OpsRefuseWhatTheyCannotTake) {
  std::vector<std::string> errors;
  const Twist twist{.in_forward = [&](const ModelInputs& inputs, const Value& x) {
    EXPECT_EQ(x.columns(), 128);
    EXPECT_EQ(x.to_string(), "bfloat16 [T, 128]");
    const Value ids = inputs["token_ids"];
    const KvCache cache = inputs.kv_cache(0);
    errors = {message_of([&] { nn::add(x, {}); }),
              message_of([&] { nn::silu(ids); }),
              message_of([&] { nn::mul(x, ids); }),
              message_of([&] { nn::linear(x, {}); }),
              message_of([&] { nn::linear(x, x); }),
              message_of([&] { nn::layer_norm(x, ids, {}, 1e-5); }),
              message_of([&] { nn::embedding(x, x); }),
              message_of([&] { nn::kv_write(x, x, cache); }),
              message_of([&] { nn::paged_attention(x, cache, {.window = -1}); }),
              message_of([&] { nn::host_read(x, 0, 128); }),
              message_of([&] { nn::host_read(x, 1 << 30, 0); })};
  }};
  LanguageModel::load({.model = registered(plain_llama("Careless", twist)), .max_model_len = 64});
  const std::vector<std::string> begin = {"[add] b is an empty value",
                                          "[silu] x is int32 [T]",
                                          "[mul] b is int32 [T]",
                                          "[linear] the weight is an empty value",
                                          "[matmul]",
                                          "[layer_norm]",
                                          "[embedding]",
                                          "[kv_write]",
                                          "[attention] a window",
                                          "[host_read]",
                                          "[host_read]"};
  ASSERT_EQ(errors.size(), begin.size());
  for (size_t i = 0; i < begin.size(); ++i) EXPECT_THAT(errors[i], testing::StartsWith(begin[i]));
}

// Notes the call instead of running it, and reads tensors where they lie.
class NotingDispatcher final : public ops::Dispatcher {
 public:
  ops::Outputs dispatch(const ops::OpCall& call) override {
    line = call.where.line();
    file = call.where.file_name();
    return {.tensors = {call.input(0)}, .count = 1};
  }
  const std::byte* read(const Tensor& tensor) override { return tensor.data(); }

  uint32_t line = 0;
  std::string file;
};

TEST(CustomModel, OpsKnowTheLineOfTheModelsCode) {
  NotingDispatcher dispatcher;
  const ops::DispatchScope scope(dispatcher);
  HeapStore store(BufferKind::state, host_memory());
  const Value x = ValueAccess::value(store.allocate(DType::f32, {2, 4}));
  nn::add(x, x);
  EXPECT_EQ(dispatcher.line, __LINE__ - 1u);
  EXPECT_THAT(dispatcher.file, testing::EndsWith("custom_model_test.cc"));
  nn::logits(x, x);
  EXPECT_EQ(dispatcher.line, __LINE__ - 1u);
}

TEST(CustomModel, TheHostReadsElements) {
  NotingDispatcher dispatcher;
  const ops::DispatchScope scope(dispatcher);
  HeapStore store(BufferKind::state, host_memory());
  const Tensor floats = store.allocate(DType::f32, {2, 3});
  const Tensor halves = store.allocate(DType::bf16, {2, 3});
  const Tensor numbers = store.allocate(DType::i32, {2, 3});
  floats.as<float>()[4] = 1.1f;
  halves.as<uint16_t>()[4] = f32_to_bf16(-2.5f);
  numbers.as<int32_t>()[4] = 77;
  EXPECT_EQ(nn::host_read(ValueAccess::value(floats), 1, 1), 1.1f);
  EXPECT_EQ(nn::host_read(ValueAccess::value(halves), 1, 1), -2.5f);
  EXPECT_EQ(nn::host_read(ValueAccess::value(numbers), 1, 1), 77.0f);
  EXPECT_EQ(nn::host_read(ValueAccess::value(floats), 1, 2), 0.0f);
}

TEST(CustomModel, WeightsAreThoseOfTheCheckpoint) {
  ModelFamily family = plain_llama("Missing");
  family.make = [](WeightReader& weights) {
    weights.matrix("no.such.weight", 4, 4);
    return std::make_unique<PlainLlama>(weights, Twist{});
  };
  EXPECT_THAT(load_error(family), HasSubstr("no.such.weight"));
  family.make = [](WeightReader& weights) {
    weights.vector("model.norm.weight", 0);
    return std::make_unique<PlainLlama>(weights, Twist{});
  };
  EXPECT_THAT(load_error(family), AllOf(HasSubstr("model.norm.weight"), HasSubstr("[0]")));
}

// relu, as an op of the program that embeds the library.
void relu(const float* x, float* y, int64_t rows, int64_t columns) noexcept {
  for (int64_t i = 0; i < rows * columns; ++i) y[i] = x[i] > 0 ? x[i] : 0;
}
std::atomic<int64_t> calls{0};
std::atomic<int64_t> rows_seen{0};
void counting_relu(const float* x, float* y, int64_t rows, int64_t columns) noexcept {
  ++calls;
  rows_seen += rows;
  relu(x, y, rows, columns);
}

TEST(CustomOp, RunsInAModelInBothTypes) {
  const Op capturable = register_op({.name = "test_relu", .run = relu});
  const Op split = register_op({.name = "test_counting_relu", .run = counting_relu, .capturable = false});
  EXPECT_TRUE(ops::find_op("test_relu")->capturable);
  EXPECT_FALSE(ops::find_op("test_counting_relu")->capturable);
  const std::string a = registered(plain_llama("ReluLlama", {.activation = capturable}));
  const std::string b = registered(plain_llama("CountingReluLlama", {.activation = split}));
  for (const char* dtype : {"float32", "bfloat16"}) {
    calls = rows_seen = 0;
    const auto expected = answers({.model = a, .dtype = dtype, .threads = 3});
    EXPECT_EQ(calls, 0);
    expect_same_bits(answers({.model = b, .dtype = dtype}), expected);
    // Whole steps: prefill and 19 decodes of 5 layers each, all rows at once.
    EXPECT_EQ(calls, 5 * 20) << dtype;
    EXPECT_GT(rows_seen, calls);
  }
  EXPECT_NE(answers({.model = a})[0].logprob,
            answers({.model = REPRISE_SOURCE_DIR "/models/tiny"})[0].logprob);
}

// Its result is used by nobody: passes drop a pure op, and leave one that may have effects.
TEST(CustomOp, APureOneRunsOnlyWhereItIsNeeded) {
  const Op pure = register_op({.name = "test_pure", .run = counting_relu, .pure = true});
  const Op opaque = register_op({.name = "test_opaque", .run = counting_relu});
  const auto calls_of = [](const std::string& name, const Op& op, int level) {
    const Twist twist{.in_forward = [op](const ModelInputs&, const Value& x) { op(x), op(x); }};
    ModelFamily family = plain_llama(name, twist);
    family.supports_graph_optimization = true;
    calls = 0;
    answers({.model = registered(family),
             .threads = 1,
             .graph_optimization_config = fmt::format(R"({{"graph_opt_level": {}}})", level)});
    return calls.load();
  };
  EXPECT_GT(calls_of("PureLlama0", pure, 0), 0);
  EXPECT_EQ(calls_of("PureLlama1", pure, 1), 0);
  EXPECT_EQ(calls_of("OpaqueLlama1", opaque, 1), calls_of("OpaqueLlama0", opaque, 0));
  EXPECT_THAT(
      message_of([] { register_op({.name = "odd", .run = relu, .pure = true, .capturable = false}); }),
      HasSubstr("'odd' is pure and not capturable"));
}

// Written as an expression, silu is the library's own, bit by bit, in every way to run.
TEST(ElementwiseOp, ComputesTheBitsOfOurOwn) {
  const Op silu = register_elementwise("test_silu", [](Expr x) { return x / (1.0f + exp(-x)); });
  ModelFamily family = plain_llama("ExpressionLlama", {.activation = silu});
  family.supports_graph_optimization = true;
  const std::string model = registered(family);
  for (const char* dtype : {"float32", "bfloat16"}) {
    const auto expected = answers({.model = REPRISE_SOURCE_DIR "/models/tiny", .dtype = dtype});
    for (const int level : {0, 1, 2})
      for (const char* replay : {"false", "true"}) {
        if (level == 2 && !can_compile()) continue;
        expect_same_bits(answers({.model = model,
                                  .dtype = dtype,
                                  .graph_optimization_config = fmt::format(
                                      R"({{"graph_opt_level": {}, "use_cudagraph": {}}})", level, replay),
                                  .compile_cache = "off",
                                  .compile_before_ready = true}),
                         expected);
      }
  }
}

// Functions of several inputs, of which some have a number for each column.
TEST(ElementwiseOp, TakesRowsAndNumbersOfColumns) {
  const Op mix = register_elementwise("test_mix", [](Expr a, Expr b, Expr scale, Expr shift) {
    return where_less(a, b, fma(a, scale, shift),
                      max(min(a, 2.0f), -tanh(b) + sqrt(abs(scale)) * erf(b) / 3.0f));
  });
  std::vector<std::string> errors;
  const Twist twist{.in_forward = [&](const ModelInputs& inputs, const Value& x) {
    errors = {message_of([&] { mix(x, x, x); }), message_of([&] { mix(x, x, inputs["token_ids"], x); }),
              message_of([&] { mix({}, x, x, x); })};
    mix(x, x, x, x);
  }};
  LanguageModel::load({.model = registered(plain_llama("MixLlama", twist)), .max_model_len = 64});
  EXPECT_THAT(errors, testing::ElementsAre(HasSubstr("[test_mix] 3 inputs; it has 4"),
                                           HasSubstr("[test_mix] c is int32 [T]"),
                                           HasSubstr("[test_mix] a is an empty value")));
}

TEST(ElementwiseOp, BadOnesAreRefusedWhenTheyAreRegistered) {
  const auto of = [](const auto& expression) {
    return message_of([&] { register_elementwise("test_bad", expression); });
  };
  EXPECT_THAT(of([](Expr) { return Expr(1.0f) + 2.0f; }), HasSubstr("a sum of numbers alone"));
  std::vector<Expr> kept;
  register_elementwise("test_keeps", [&](Expr x) {
    kept.push_back(x);
    return x;
  });
  EXPECT_THAT(of([&](Expr x) { return x + kept[0]; }), HasSubstr("of another one"));
  EXPECT_THAT(of([](Expr x) -> Expr { throw std::runtime_error("no " + std::to_string(sizeof(x))); }),
              HasSubstr("no "));
  EXPECT_THAT(of([](Expr x) {
                for (int i = 0; i < 5000; ++i) x = x + static_cast<float>(i);
                return x;
              }),
              HasSubstr("more than 4096 operations"));
  EXPECT_THAT(message_of([] { register_elementwise("add", [](Expr x) { return x; }); }),
              HasSubstr("'add' already"));
  EXPECT_THAT(message_of([] { register_elementwise("", [](Expr x) { return x; }); }), HasSubstr("no name"));
  EXPECT_EQ(of([](Expr x) { return x * 2.0f; }), "nothing was thrown");
}

TEST(CustomOp, BadOnesAreRefused) {
  EXPECT_THAT(message_of([] { register_op({.name = "", .run = relu}); }), HasSubstr("name"));
  EXPECT_THAT(message_of([] { register_op({.name = "no_function"}); }), HasSubstr("no_function"));
  EXPECT_THAT(message_of([] { register_op({.name = "add", .run = relu}); }), HasSubstr("'add' already"));
  const Op op = register_op({.name = "test_strict", .run = relu});
  std::vector<std::string> errors;
  const Twist twist{.in_forward = [&](const ModelInputs& inputs, const Value&) {
    errors = {message_of([&] { op({}); }), message_of([&] { op(inputs["token_ids"]); })};
  }};
  LanguageModel::load({.model = registered(plain_llama("StrictLlama", twist)), .max_model_len = 64});
  EXPECT_THAT(errors, testing::ElementsAre(HasSubstr("[test_strict] x is an empty value"),
                                           HasSubstr("[test_strict] x is int32 [T]")));
}

TEST(CustomModel, AStepThatFailsKeepsWhatWasSaidBefore) {
  std::atomic<int> steps_left{1 << 30};
  const Twist twist{.in_forward = [&](const ModelInputs&, const Value&) {
    if (--steps_left == 0) throw std::runtime_error("the model's own trouble");
  }};
  LanguageModel model =
      LanguageModel::load({.model = registered(plain_llama("FailingLlama", twist)), .max_num_seqs = 2});
  Prompt prompt{.text = "It was a"};
  prompt.sampling.temperature = 0;
  prompt.sampling.ignore_eos = true;
  prompt.sampling.max_tokens = 9;
  const Result whole = model.generate({prompt})[0];
  ASSERT_EQ(whole.error, "");
  steps_left = 5;
  bool finished = false;
  const std::vector<Result> results = model.generate({prompt, prompt, prompt}, [&](const StreamEvent& event) {
    finished = finished || (event.prompt == 0 && event.finished);
    return true;
  });
  EXPECT_TRUE(finished);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_THAT(results[i].error, HasSubstr("the model's own trouble"));
    ASSERT_EQ(results[i].outputs.size(), 1u);
    const Output& output = results[i].outputs[0];
    EXPECT_EQ(output.finish_reason, "error");
    EXPECT_EQ(output.token_ids, std::vector<int32_t>(whole.outputs[0].token_ids.begin(),
                                                     whole.outputs[0].token_ids.begin() + 4));
    EXPECT_EQ(output.text, model.decode(output.token_ids));
  }
  EXPECT_EQ(results[2].error, "");  // waited: it was in no step that failed
  EXPECT_EQ(results[2].outputs[0].token_ids, whole.outputs[0].token_ids);
}

}  // namespace
}  // namespace reprise
