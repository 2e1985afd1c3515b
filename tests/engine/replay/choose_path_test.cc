// By which path a step runs: the design's matrix as a table, every reason, and properties over random
// configurations, states and steps.
#include "engine/replay/choose_path.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <string>

namespace reprise::engine {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr StepShape kDecode = {.decode_tokens = 5};
constexpr StepShape kPrefill = {.prefill_tokens = 37};
constexpr StepShape kMixed = {.decode_tokens = 3, .prefill_tokens = 20};

// A resolved configuration with the state of each of its recordings.
struct Case {
  ResolvedGraph graph;
  std::vector<CaptureState> decode, prefill;

  explicit Case(const std::string& json, const GraphLimits& limits = {.can = {.has_compiler = true}})
      : graph(resolve_graph(parse_graph_config(json), limits)) {
    set(CaptureState::captured);
  }
  void set(CaptureState state) {
    decode.assign(graph.decode.sizes.size(), state);
    prefill.assign(graph.prefill.sizes.size(), state);
  }
  StepPath path(const StepShape& step) const {
    return choose_path(graph, {.decode = decode, .prefill = prefill}, step);
  }
  // "replay 8+3", "eager prefill_not_captured"
  std::string text(const StepShape& step) const {
    const StepPath path = this->path(step);
    std::string out(name_of(path.mode));
    if (!path.replayed()) return out + " " + std::string(code_of(path.reason));
    out += " " + std::to_string(path.captured_size);
    return path.padding == 0 ? out : out + "+" + std::to_string(path.padding);
  }
  std::string why(const StepShape& step) const { return explain(graph, step, path(step)); }
};

// The table of the design, section 1: rows are steps, columns are modes.
TEST(StepPath, MatrixOfTheDesign) {
  struct Row {
    const char* json;
    const char *decode, *prefill, *mixed;
  };
  const Row rows[] = {
      // nothing captured: the level alone decides
      {R"({})", "eager cudagraph_off", "eager cudagraph_off", "eager cudagraph_off"},
      {R"({"graph_opt_level":1})", "static cudagraph_off", "static cudagraph_off", "static cudagraph_off"},
      {R"({"graph_opt_level":2})", "compiled cudagraph_off", "compiled cudagraph_off",
       "compiled cudagraph_off"},
      // level 0 + capture
      {R"({"use_cudagraph":true})", "replay 5", "eager prefill_not_captured", "eager mixed_not_captured"},
      // level >= 1, full
      {R"({"use_cudagraph":true,"graph_opt_level":1})", "replay 5", "static prefill_not_captured",
       "static mixed_not_captured"},
      {R"({"use_cudagraph":true,"graph_opt_level":2})", "replay 5", "compiled prefill_not_captured",
       "compiled mixed_not_captured"},
      // level >= 1, split
      {R"({"use_cudagraph":true,"graph_opt_level":1,"full_cuda_graph":false})", "replay 5", "split 37",
       "split 23"},
      {R"({"use_cudagraph":true,"graph_opt_level":2,"full_cuda_graph":false})", "replay 5", "split 37",
       "split 23"},
      // pure-prefill steps instead of decode
      {R"({"use_cudagraph":true,"cudagraph_only_prefill":true})", "eager decode_not_captured", "replay 37",
       "eager mixed_not_captured"},
      {R"({"use_cudagraph":true,"graph_opt_level":1,"cudagraph_only_prefill":true})",
       "static decode_not_captured", "replay 37", "static mixed_not_captured"},
      {R"({"use_cudagraph":true,"graph_opt_level":1,"full_cuda_graph":false,"cudagraph_only_prefill":true})",
       "static decode_not_captured", "split 37", "static mixed_not_captured"},
      // lists
      {R"({"use_cudagraph":true,"cudagraph_capture_sizes":[8,1]})", "replay 8+3",
       "eager prefill_not_captured", "eager mixed_not_captured"},
      {R"({"use_cudagraph":true,"cudagraph_capture_sizes":[5,8]})", "replay 5", "eager prefill_not_captured",
       "eager mixed_not_captured"},
      {R"({"use_cudagraph":true,"cudagraph_capture_sizes":[4]})", "eager above_largest_size",
       "eager prefill_not_captured", "eager mixed_not_captured"},
      {R"({"use_cudagraph":true,"graph_opt_level":1,"full_cuda_graph":false,
           "cudagraph_capture_sizes_prefill":[16,64]})",
       "replay 5", "split 64+27", "split 64+41"},
      {R"({"use_cudagraph":true,"graph_opt_level":1,"full_cuda_graph":false,
           "cudagraph_capture_sizes_prefill":[16,30]})",
       "replay 5", "static above_largest_size", "split 30+7"},
      {R"({"use_cudagraph":true,"graph_opt_level":1,"full_cuda_graph":false,"max_capture_shape_prefill":32})",
       "replay 5", "static above_max_capture_shape_prefill", "split 23"},
      {R"({"use_cudagraph":true,"graph_opt_level":1,"full_cuda_graph":false,"max_capture_shape_prefill":37})",
       "replay 5", "split 37", "split 23"},
  };
  for (const Row& row : rows) {
    const Case c(row.json);
    EXPECT_EQ(c.text(kDecode), row.decode) << row.json;
    EXPECT_EQ(c.text(kPrefill), row.prefill) << row.json;
    EXPECT_EQ(c.text(kMixed), row.mixed) << row.json;
  }
}

TEST(StepPath, TheDefaultListIsPaddedToItsNextSize) {
  const Case c(R"({"use_cudagraph":true})", {.max_num_seqs = 64, .can = {.one_recording_fits = false}});
  for (const auto& [tokens, expected] : {std::pair<int64_t, const char*>{1, "replay 1"},
                                         {3, "replay 4+1"},
                                         {17, "replay 24+7"},
                                         {37, "replay 40+3"},
                                         {64, "replay 64"}})
    EXPECT_EQ(c.text({.decode_tokens = tokens}), expected);
}

TEST(StepPath, CapturesUnderWayAndFailed) {
  Case c(R"({"use_cudagraph":true,"cudagraph_capture_sizes":[2,4,8]})");
  const auto with = [&](CaptureState two, CaptureState four, CaptureState eight) {
    c.decode = {two, four, eight};
    return c.text({.decode_tokens = 2});
  };
  using enum CaptureState;
  EXPECT_EQ(with(pending, pending, pending), "eager capture_pending");
  EXPECT_EQ(with(pending, pending, captured), "replay 8+6") << "largest first: meanwhile it serves all";
  EXPECT_EQ(with(pending, captured, captured), "replay 4+2");
  EXPECT_EQ(with(failed, captured, captured), "replay 4+2");
  EXPECT_EQ(with(failed, pending, failed), "eager capture_pending");
  EXPECT_EQ(with(failed, failed, failed), "eager capture_failed");
  EXPECT_EQ(with(in_parts, captured, captured), "split 2");
  EXPECT_EQ(c.path({.decode_tokens = 3}).recording, 1u);
}

TEST(StepPath, ScoringPromptTokensIsNotReplayed) {
  for (const char* json : {R"({"use_cudagraph":true,"graph_opt_level":1,"full_cuda_graph":false})",
                           R"({"use_cudagraph":true,"graph_opt_level":1,"cudagraph_only_prefill":true})"}) {
    EXPECT_EQ(Case(json).text({.prefill_tokens = 20, .scores_prompt = true}), "static scores_prompt");
    EXPECT_EQ(Case(json).text({.decode_tokens = 1, .scores_prompt = true}), "static scores_prompt");
  }
}

TEST(StepPath, ExplainSaysWhatHowAndWhy) {
  const Case list(R"({"use_cudagraph":true,"cudagraph_capture_sizes":[4,8]})", {.max_num_seqs = 64});
  EXPECT_EQ(list.why(kDecode),
            "a decode step of 5 tokens is replayed on the recording of 8 tokens, 3 of them padding");
  EXPECT_THAT(list.why({.decode_tokens = 37}), AllOf(HasSubstr("37 > 8"), HasSubstr("not replayed")));
  EXPECT_THAT(list.why(kMixed), AllOf(HasSubstr("a mixed step of 3 decode and 20 prefill tokens"),
                                      HasSubstr("full_cuda_graph false"), HasSubstr("model's code runs")));
  const Case split(R"({"use_cudagraph":true,"graph_opt_level":1,"full_cuda_graph":false})");
  EXPECT_THAT(split.why(kPrefill), AllOf(HasSubstr("a prefill step of 37 tokens is replayed in parts"),
                                         HasSubstr("up to 512"), HasSubstr("attention run between")));
  EXPECT_THAT(split.why({.prefill_tokens = 600}),
              AllOf(HasSubstr("600 > 512"), HasSubstr("static graph runs")));
  Case parts(R"({"use_cudagraph":true})");
  parts.set(CaptureState::in_parts);
  EXPECT_THAT(parts.why(kDecode), HasSubstr("the ops that can't be captured run between"));
}

TEST(StepPath, EveryReasonHasACodeAndAText) {
  std::set<std::string_view> codes;
  for (size_t i = 0; i < kNotReplayedReasons; ++i) {
    const std::string_view code = code_of(static_cast<NotReplayed>(i));
    EXPECT_FALSE(code.empty());
    EXPECT_EQ(code.find_first_not_of("abcdefghijklmnopqrstuvwxyz_"), std::string_view::npos) << code;
    EXPECT_TRUE(codes.insert(code).second) << code;
    EXPECT_FALSE(text_of(static_cast<NotReplayed>(i)).empty());
  }
  EXPECT_EQ(code_of(NotReplayed::capture_failed), "capture_failed") << "the last one: the table is in order";
}

TEST(StepCounts, AddUp) {
  StepCounts counts;
  count({.mode = RunMode::replay, .captured_size = 8, .padding = 3}, counts);
  count({.mode = RunMode::split, .captured_size = 64, .padding = 27}, counts);
  count({.mode = RunMode::eager, .reason = NotReplayed::scores_prompt}, counts);
  StepCounts sum = counts;
  sum += counts;
  EXPECT_EQ(sum.total(), 6);
  EXPECT_EQ(sum.replayed, 4);
  EXPECT_EQ(sum.split, 2);
  EXPECT_EQ(sum.replayed_tokens, 2 * (5 + 37));
  EXPECT_EQ(sum.padding_tokens, 2 * (3 + 27));
  EXPECT_EQ(sum.not_replayed[static_cast<size_t>(NotReplayed::scores_prompt)], 2);
}

class Random {
 public:
  int64_t below(int64_t n) { return std::uniform_int_distribution<int64_t>(0, n - 1)(generator_); }
  bool flip() { return below(2) == 1; }
  std::optional<std::vector<int64_t>> sizes(int64_t most) {
    if (flip()) return std::nullopt;
    std::vector<int64_t> out = {1 + below(most)};  // one that is not cropped
    for (int64_t i = below(6); i > 0; --i) out.push_back(1 + below(2 * most));
    return out;
  }
  std::vector<CaptureState> states(size_t count) {
    std::vector<CaptureState> out;
    for (size_t i = 0; i < count; ++i) out.push_back(static_cast<CaptureState>(below(4)));
    return out;
  }

 private:
  std::mt19937 generator_{7};
};

TEST(StepPath, PropertiesOverRandomSteps) {
  Random random;
  int64_t replayed = 0, refused = 0;
  for (int round = 0; round < 3000; ++round) {
    const GraphLimits limits = {.max_num_seqs = 1 + random.below(80),
                                .max_num_batched_tokens = 80 + random.below(1000),
                                .can = {.has_compiler = true, .one_recording_fits = random.flip()}};
    GraphConfig config;
    config.graph_opt_level = static_cast<int>(random.below(3));
    config.use_cudagraph = random.below(8) != 0;
    config.full_cuda_graph = config.graph_opt_level == 0 || random.flip();
    config.cudagraph_only_prefill = random.below(3) == 0;
    config.max_capture_shape_prefill = 1 + random.below(600);
    config.cudagraph_capture_sizes = random.sizes(limits.max_num_seqs);
    config.cudagraph_capture_sizes_prefill =
        random.sizes(std::min(config.max_capture_shape_prefill, limits.max_num_batched_tokens));
    const ResolvedGraph graph = resolve_graph(config, limits);
    const std::vector<CaptureState> decode = random.states(graph.decode.sizes.size());
    const std::vector<CaptureState> prefill = random.states(graph.prefill.sizes.size());
    for (int steps = 0; steps < 20; ++steps) {
      StepShape step;
      const int64_t kind = random.below(3);
      if (kind != 1) step.decode_tokens = 1 + random.below(limits.max_num_seqs);
      if (kind != 0)
        step.prefill_tokens = 2 + random.below(limits.max_num_batched_tokens - step.decode_tokens);
      step.scores_prompt = random.below(10) == 0;
      const StepPath path = choose_path(graph, {.decode = decode, .prefill = prefill}, step);
      const bool decodes = step.prefill_tokens == 0;
      const SizeList& list = decodes ? graph.decode : graph.prefill;
      const std::vector<CaptureState>& states = decodes ? decode : prefill;
      const auto usable = [&](size_t i) {
        return list.sizes[i] >= step.tokens() &&
               (states[i] == CaptureState::captured || states[i] == CaptureState::in_parts);
      };
      ASSERT_EQ(path.replayed(), path.mode == RunMode::replay || path.mode == RunMode::split);
      ASSERT_FALSE(explain(graph, step, path).empty());
      if (!path.replayed()) {
        ++refused;
        ASSERT_EQ(path.mode == RunMode::eager, config.graph_opt_level == 0);
        ASSERT_EQ(path.padding, 0);
        // Nothing that could have been replayed is left out.
        const bool recorded = decodes                         ? !config.cudagraph_only_prefill
                              : config.cudagraph_only_prefill ? step.decode_tokens == 0
                                                              : !config.full_cuda_graph;
        bool could = config.use_cudagraph && !step.scores_prompt && recorded &&
                     (decodes || step.tokens() <= config.max_capture_shape_prefill);
        if (could) {
          could = false;
          for (size_t i = 0; i < list.sizes.size(); ++i) could = could || usable(i);
        }
        ASSERT_FALSE(could) << explain(graph, step, path);
        continue;
      }
      ++replayed;
      ASSERT_TRUE(config.use_cudagraph && !step.scores_prompt);
      ASSERT_TRUE(usable(path.recording));
      for (size_t i = 0; i < path.recording; ++i) ASSERT_FALSE(usable(i)) << "a smaller one would do";
      ASSERT_EQ(path.padding, path.captured_size - step.tokens());
      ASSERT_GE(path.padding, 0);
      ASSERT_EQ(path.captured_size, list.any_size ? step.tokens() : list.sizes[path.recording]);
      ASSERT_FALSE(config.cudagraph_only_prefill && step.decode_tokens > 0);
      ASSERT_TRUE(step.decode_tokens == 0 || decodes || path.mode == RunMode::split) << "a mixed step";
      ASSERT_TRUE(decodes || step.tokens() <= config.max_capture_shape_prefill);
    }
  }
  EXPECT_GT(replayed, 5000);
  EXPECT_GT(refused, 5000);
}

}  // namespace
}  // namespace reprise::engine
