// The public API on the repository's tiny model: text, stop strings, echo, streaming, errors of single
// prompts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "core/fault.h"
#include "core/json.h"
#include "reprise/reprise.h"
#include "source_dir.h"
#include "tests/graph/decomposing_compiler.h"

namespace reprise {
namespace {

using testing::HasSubstr;

LanguageModel& tiny() {
  static LanguageModel model =
      LanguageModel::load({.model = REPRISE_SOURCE_DIR "/models/tiny", .max_num_seqs = 16});
  return model;
}

Prompt greedy(const std::string& text, int max_tokens) {
  Prompt prompt{.text = text};
  prompt.sampling.temperature = 0;
  prompt.sampling.max_tokens = max_tokens;
  prompt.sampling.ignore_eos = true;
  return prompt;
}

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const std::runtime_error& e) {
    return e.what();
  }
  return "nothing was thrown";
}

TEST(LanguageModel, StreamedTextIsTheResultsText) {
  std::string streamed;
  size_t tokens = 0;
  bool finished = false;
  const Result result = tiny().generate({greedy("It was a", 24)}, [&](const StreamEvent& event) {
    EXPECT_FALSE(finished);
    streamed += event.text;
    tokens += event.token_ids.size();
    finished = event.finished;
    return true;
  })[0];
  ASSERT_EQ(result.error, "");
  EXPECT_TRUE(finished);
  EXPECT_EQ(tokens, 24u);
  EXPECT_EQ(streamed, result.outputs[0].text);
  EXPECT_EQ(result.outputs[0].text, tiny().decode(result.outputs[0].token_ids));
  EXPECT_EQ(result.outputs[0].finish_reason, "length");
  EXPECT_GT(result.metrics.time_to_first_token_s, 0);
}

TEST(LanguageModel, GraphSettingsAreCheckedAtLoad) {
  const auto with = [](LoadOptions options) {
    options.model = REPRISE_SOURCE_DIR "/models/tiny";
    return options;
  };
  EXPECT_THAT(message_of([&] {
                LanguageModel::load(with(
                    {.graph_optimization_config = R"({"use_cudagraph": false})", .use_cudagraph = true}));
              }),
              HasSubstr("--use-cudagraph contradicts"));
  EXPECT_THAT(message_of([&] { LanguageModel::load(with({.graph_verify = "never"})); }),
              HasSubstr("--graph-verify"));
  const ModelInfo info =
      LanguageModel::load(with({.graph_optimization_config = R"({"cudagraph_capture_sizes": [4]})"})).info();
  ASSERT_EQ(info.warnings.size(), 1u);
  EXPECT_THAT(info.warnings[0], HasSubstr("without effect"));
  EXPECT_TRUE(tiny().info().warnings.empty());
}

TEST(LanguageModel, ReportsWhatGraphsDid) {
  LanguageModel model = LanguageModel::load(
      {.model = REPRISE_SOURCE_DIR "/models/tiny",
       .max_num_seqs = 4,
       .graph_optimization_config =
           R"({"graph_opt_level": 1, "use_cudagraph": true, "cudagraph_capture_sizes": [4]})",
       .graph_verify = "sample=1",
       .capture_before_ready = true});
  model.generate({greedy("It was a", 9)});
  const GraphReport good = model.graph_report();
  EXPECT_EQ(good.steps, 9);
  EXPECT_EQ(good.steps_replayed, 8);
  ASSERT_EQ(good.steps_not_replayed.size(), 1u);
  EXPECT_EQ(good.steps_not_replayed[0].first, "prefill_not_captured");
  EXPECT_EQ(good.tokens_replayed, 8);
  EXPECT_EQ(good.tokens_padding, 24);
  EXPECT_EQ(good.captures, 1);
  EXPECT_GT(good.launches, 0);
  EXPECT_EQ(good.steps_verified, 9);
  EXPECT_EQ(good.steps_differing, 0);
  EXPECT_THAT(good.text(), HasSubstr("8 of 9 steps replayed (88.9 %), padding 75.0 % of their rows"));

  // Four sequences: no row of padding would take the loss.
  const FaultScope fault(Fault::replay_loses_last_item, 1);
  model.generate(std::vector<Prompt>(4, greedy("It was a", 9)));
  const GraphReport bad = model.graph_report();
  EXPECT_GT(bad.steps_differing, 0);
  EXPECT_THAT(bad.difference, HasSubstr("layers.0"));
}

TEST(LanguageModel, StopStringCutsTheTextAndEndsTheOutput) {
  const std::string full = tiny().generate({greedy("It was a", 40)})[0].outputs[0].text;
  const std::string stop = full.substr(full.size() / 2, 4);
  Prompt prompt = greedy("It was a", 40);
  prompt.sampling.stop = {stop};
  const Output cut = tiny().generate({prompt})[0].outputs[0];
  EXPECT_EQ(cut.text, full.substr(0, full.find(stop)));
  EXPECT_EQ(cut.finish_reason, "stop");
  EXPECT_LT(cut.token_ids.size(), 40u);
  prompt.sampling.include_stop_str_in_output = true;
  EXPECT_EQ(tiny().generate({prompt})[0].outputs[0].text, full.substr(0, full.find(stop)) + stop);
}

TEST(LanguageModel, CallbackCanEndAnOutput) {
  int events = 0;
  const Result result =
      tiny().generate({greedy("It", 100)}, [&](const StreamEvent&) { return ++events < 5; })[0];
  EXPECT_EQ(result.outputs[0].finish_reason, "abort");
  EXPECT_LT(result.outputs[0].token_ids.size(), 20u);
}

TEST(LanguageModel, EchoBeginsWithThePrompt) {
  Prompt prompt = greedy("It was a", 4);
  prompt.sampling.echo = true;
  EXPECT_TRUE(tiny().generate({prompt})[0].outputs[0].text.starts_with("It was a"));
}

TEST(LanguageModel, SeveralOutputsDifferAndRepeatWithTheirSeed) {
  Prompt prompt = greedy("She", 16);
  prompt.sampling.temperature = 1;
  prompt.sampling.n = 3;
  prompt.sampling.seed = 7;
  const Result first = tiny().generate({prompt})[0];
  const Result second = tiny().generate({greedy("He", 8), prompt})[1];
  ASSERT_EQ(first.outputs.size(), 3u);
  EXPECT_NE(first.outputs[0].token_ids, first.outputs[1].token_ids);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(first.outputs[i].token_ids, second.outputs[i].token_ids);
}

TEST(LanguageModel, OneBadPromptHarmsNoOther) {
  Prompt too_long{.token_ids = std::vector<int32_t>(100000, 5)};
  Prompt bad_id{.token_ids = {1, 1 << 30}};
  Prompt bad_field = greedy("x", 4);
  bad_field.sampling.top_p = 3;
  Prompt empty;
  const std::vector<Result> results = tiny().generate({too_long, bad_id, greedy("It", 4), bad_field, empty});
  EXPECT_THAT(results[0].error, HasSubstr("100000"));
  EXPECT_THAT(results[1].error, HasSubstr("1073741824"));
  EXPECT_EQ(results[2].error, "");
  EXPECT_EQ(results[2].outputs[0].token_ids.size(), 4u);
  EXPECT_THAT(results[3].error, HasSubstr("top_p"));
  EXPECT_NE(results[4].error, "");
}

TEST(LanguageModel, ATokenMaskGivesTheTextItsForm) {
  LanguageModel& model = tiny();
  const std::vector<int32_t> wanted = model.encode(" a dark and stormy night", false);
  Prompt prompt{.text = "It was"};
  prompt.sampling.max_tokens = static_cast<int32_t>(wanted.size());
  prompt.token_mask = [&](int, std::span<const int32_t> output_ids, std::span<uint32_t> allowed) {
    std::ranges::fill(allowed, 0);
    const auto id = static_cast<size_t>(wanted[output_ids.size()]);
    allowed[id / 32] = uint32_t{1} << (id % 32);
  };
  const std::vector<Result> results = model.generate({prompt, {.text = "It was"}});
  EXPECT_EQ(results[0].outputs[0].text, " a dark and stormy night");
  EXPECT_NE(results[1].outputs[0].text, results[0].outputs[0].text);
  EXPECT_EQ(results[1].error, "");
}

TEST(LanguageModel, BadWordsAreNeverSaid) {
  const std::string full = tiny().generate({greedy("It was a", 30)})[0].outputs[0].text;
  Prompt prompt = greedy("It was a", 30);
  const Result first = tiny().generate({greedy("It was a", 1)})[0];
  const std::string word = tiny().decode(first.outputs[0].token_ids);
  prompt.sampling.bad_words_token_ids = {first.outputs[0].token_ids};
  const Output other = tiny().generate({prompt})[0].outputs[0];
  for (const int32_t id : other.token_ids) EXPECT_NE(id, first.outputs[0].token_ids[0]);
}

TEST(LanguageModel, LoadErrorsSayWhatAndWhere) {
  EXPECT_THAT(message_of([] { LanguageModel::load({.model = "/does/not/exist"}); }),
              HasSubstr("/does/not/exist"));
  EXPECT_THAT(
      message_of([] { LanguageModel::load({.model = REPRISE_SOURCE_DIR "/models/tiny", .dtype = "int3"}); }),
      HasSubstr("int3"));
  EXPECT_THAT(
      message_of([] { LanguageModel::load({.model = REPRISE_SOURCE_DIR "/models/tiny", .isa = "avx9000"}); }),
      HasSubstr("avx9000"));
}

TEST(LanguageModel, TraceNamesLayers) {
  tiny().start_trace();
  tiny().generate({greedy("It", 3)});
  tiny().stop_trace();
  const std::string path = testing::TempDir() + "reprise_trace.json";
  tiny().write_trace(path);
  const Json trace = read_json_file(path);
  bool named = false;
  for (const Json& event : trace["traceEvents"])
    named = named || event.value("cat", "") == "model.layers.0.mlp";
  EXPECT_TRUE(named);
  EXPECT_GT(tiny().trace_overhead_us(), 0);
  EXPECT_THAT(message_of([] { tiny().write_trace("/proc/no/such/place.json"); }),
              HasSubstr("/proc/no/such/place.json"));
}

// A program that links a compiler serves level 2, with the same text; what it fails on is said.
TEST(LanguageModel, LevelTwoIsServedByACompilerThatIsLinked) {
  const LoadOptions options{.model = REPRISE_SOURCE_DIR "/models/tiny",
                            .graph_optimization_config = R"({"graph_opt_level": 2, "use_cudagraph": true})"};
  graph::register_compiler(DeviceKind::cpu, [](const Device& device, const graph::CompilerOptions&) {
    auto compiler = std::make_unique<graph::DecomposingCompiler>(device);
    compiler->before_compile = [](const graph::Graph& graph, const graph::FusionGroup& group) {
      if (graph.node(group.nodes.back()).layer == "model.layers.1.mlp") throw std::runtime_error("no room");
    };
    return compiler;
  });
  const auto expected = tiny().generate({greedy("It was a", 24)});
  LanguageModel model = LanguageModel::load(options);
  graph::register_compiler(DeviceKind::cpu, nullptr);
  const auto found = model.generate({greedy("It was a", 24)});
  EXPECT_EQ(found[0].outputs[0].text, expected[0].outputs[0].text);
  const GraphReport report = model.graph_report();
  EXPECT_GT(report.compile.groups, 0);
  ASSERT_EQ(report.compile.not_compiled.size(), 1u);
  EXPECT_EQ(report.compile.not_compiled[0].first, "group_failed");
  EXPECT_GT(report.compile.not_compiled[0].second, 0);
  EXPECT_THAT(report.text(),
              HasSubstr("graph: " + std::to_string(report.compile.groups) + " groups of ops run as"));
  // Said once, when the model is loaded.
  EXPECT_THAT(model.info().warnings, testing::Contains(HasSubstr("of model.layers.1.mlp run op by op")));
  EXPECT_THAT(model.info().warnings, testing::Contains(HasSubstr("no room")));
  EXPECT_THAT(report.compile.warnings, testing::IsEmpty());
}

}  // namespace
}  // namespace reprise
