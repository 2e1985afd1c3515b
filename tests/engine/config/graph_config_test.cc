// Settings of graph optimisation: defaults, every refusal with its message, and what is warned of.
#include "engine/config/graph_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <string>

#include "core/error.h"
#include "engine/config/engine_config.h"
#include "engine/scheduling/request.h"
#include "source_dir.h"

namespace reprise::engine {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}
std::string refused(const std::string& json) {
  return error_of([&] { parse_graph_config(json); });
}
std::string refused(const GraphFlags& flags) {
  return error_of([&] { graph_config_of(flags); });
}
std::string unserved(const std::string& json, const GraphLimits& limits = {}) {
  const GraphConfig config = parse_graph_config(json);
  return error_of([&] { resolve_graph(config, limits); });
}
ResolvedGraph resolved(const std::string& json, const GraphLimits& limits = {}) {
  return resolve_graph(parse_graph_config(json), limits);
}
constexpr GraphLimits kNoRebinding = {.max_num_seqs = 32, .can = {.one_recording_fits = false}};

TEST(GraphConfig, Defaults) {
  const GraphConfig config = parse_graph_config("{}");
  EXPECT_EQ(config, GraphConfig{});
  EXPECT_EQ(config.graph_opt_level, 0);
  EXPECT_FALSE(config.use_cudagraph);
  EXPECT_FALSE(config.cudagraph_capture_sizes.has_value());
  EXPECT_TRUE(config.full_cuda_graph);
  EXPECT_FALSE(config.cudagraph_capture_sizes_prefill.has_value());
  EXPECT_EQ(config.max_capture_shape_prefill, 512);
  EXPECT_FALSE(config.cudagraph_only_prefill);
  EXPECT_EQ(config.cudagraph_num_of_warmups, 2);
  EXPECT_TRUE(config.use_unique_memory_pool);
  EXPECT_FALSE(config.draft_model_use_cudagraph);
}

TEST(GraphConfig, ReadsEveryKey) {
  const GraphConfig config = parse_graph_config(R"({
    "graph_opt_level": 1, "use_cudagraph": true, "cudagraph_capture_sizes": [9, 1], "full_cuda_graph": false,
    "cudagraph_capture_sizes_prefill": [64], "max_capture_shape_prefill": 128, "cudagraph_only_prefill": true,
    "cudagraph_num_of_warmups": 0, "use_unique_memory_pool": false, "draft_model_use_cudagraph": false})");
  EXPECT_EQ(config.graph_opt_level, 1);
  EXPECT_TRUE(config.use_cudagraph);
  EXPECT_THAT(*config.cudagraph_capture_sizes, ElementsAre(9, 1));
  EXPECT_FALSE(config.full_cuda_graph);
  EXPECT_THAT(*config.cudagraph_capture_sizes_prefill, ElementsAre(64));
  EXPECT_EQ(config.max_capture_shape_prefill, 128);
  EXPECT_TRUE(config.cudagraph_only_prefill);
  EXPECT_EQ(config.cudagraph_num_of_warmups, 0);
  EXPECT_FALSE(config.use_unique_memory_pool);
  EXPECT_FALSE(parse_graph_config(R"({"cudagraph_capture_sizes": null})").cudagraph_capture_sizes);
}

TEST(GraphConfig, UnknownKeyListsTheKeysAndSuggestsOne) {
  EXPECT_THAT(refused(R"({"use_cudagrap": true})"),
              AllOf(HasSubstr("\"use_cudagrap\" is no key"), HasSubstr("did you mean \"use_cudagraph\"?"),
                    HasSubstr("graph_opt_level"), HasSubstr("draft_model_use_cudagraph")));
  EXPECT_THAT(refused(R"({"graph_op_levle": 1})"), HasSubstr("did you mean \"graph_opt_level\"?"));
  EXPECT_THAT(refused(R"({"cudagraph_capture_sizes_prefil": [1]})"),
              HasSubstr("did you mean \"cudagraph_capture_sizes_prefill\"?"));
  EXPECT_THAT(refused(R"({"speed": 1})"), AllOf(HasSubstr("\"speed\" is no key;"), Not(HasSubstr("mean"))));
  EXPECT_THAT(refused("{\"" + std::string(100000, 'a') + "\": 1}"), HasSubstr("is no key"));
}

TEST(GraphConfig, WrongTypesAndRanges) {
  EXPECT_THAT(refused(R"({"graph_opt_level": 3})"),
              HasSubstr("\"graph_opt_level\" is 3, expected an integer from 0 to 2"));
  EXPECT_THAT(refused(R"({"graph_opt_level": -1})"), HasSubstr("from 0 to 2"));
  EXPECT_THAT(refused(R"({"graph_opt_level": 1.0})"), HasSubstr("is 1.0, expected an integer"));
  EXPECT_THAT(refused(R"({"graph_opt_level": "1"})"), HasSubstr("is \"1\", expected an integer"));
  EXPECT_THAT(refused(R"({"graph_opt_level": true})"), HasSubstr("is true, expected an integer"));
  EXPECT_THAT(refused(R"({"graph_opt_level": null})"), HasSubstr("is null"));
  EXPECT_THAT(refused(R"({"use_cudagraph": 1})"),
              HasSubstr("\"use_cudagraph\" is 1, expected true or false"));
  EXPECT_THAT(refused(R"({"full_cuda_graph": "false"})"), HasSubstr("expected true or false"));
  EXPECT_THAT(refused(R"({"cudagraph_only_prefill": null})"),
              HasSubstr("\"cudagraph_only_prefill\" is null"));
  EXPECT_THAT(refused(R"({"use_unique_memory_pool": []})"), HasSubstr("use_unique_memory_pool"));
  EXPECT_THAT(refused(R"({"max_capture_shape_prefill": 0})"), HasSubstr("an integer from 1 to 16777216"));
  EXPECT_THAT(refused(R"({"max_capture_shape_prefill": 18446744073709551615})"), HasSubstr("16777216"));
  EXPECT_THAT(refused(R"({"cudagraph_num_of_warmups": -1})"), HasSubstr("an integer from 0 to 1000"));
}

TEST(GraphConfig, SizesAreIntegersFromOne) {
  EXPECT_THAT(refused(R"({"cudagraph_capture_sizes": 8})"), HasSubstr("is 8, expected null or a list"));
  EXPECT_THAT(refused(R"({"cudagraph_capture_sizes": [4, 0]})"),
              HasSubstr("\"cudagraph_capture_sizes[1]\" is 0, expected an integer from 1"));
  EXPECT_THAT(refused(R"({"cudagraph_capture_sizes": [1, -2]})"), HasSubstr("is -2"));
  EXPECT_THAT(refused(R"({"cudagraph_capture_sizes": [1.5]})"), HasSubstr("is 1.5"));
  EXPECT_THAT(refused(R"({"cudagraph_capture_sizes": ["1"]})"), HasSubstr("cudagraph_capture_sizes[0]"));
  EXPECT_THAT(refused(R"({"cudagraph_capture_sizes": []})"), HasSubstr("nothing would be captured"));
  EXPECT_THAT(refused(R"({"cudagraph_capture_sizes_prefill": [0]})"),
              HasSubstr("cudagraph_capture_sizes_prefill[0]"));
}

TEST(GraphConfig, MalformedJson) {
  EXPECT_THAT(refused("use_cudagraph"),
              AllOf(HasSubstr("--graph-optimization-config"), HasSubstr("malformed")));
  EXPECT_THAT(refused("[1]"), HasSubstr("is [1], expected an object such as {\"graph_opt_level\": 1"));
  EXPECT_THAT(refused("true"), HasSubstr("expected an object"));
  EXPECT_THAT(refused("{} {}"), HasSubstr("malformed"));
  EXPECT_THAT(refused(R"({"use_cudagraph": true, "graph_opt_level": 1, "use_cudagraph": false})"),
              HasSubstr("\"use_cudagraph\" is given twice"));
  EXPECT_THAT(refused(R"({"cudagraph_capture_sizes": )" + std::string(100000, '[')),
              HasSubstr("nested deeper"));
}

TEST(GraphConfig, DraftModelIsRefusedWhileThereIsNone) {
  EXPECT_THAT(refused(R"({"draft_model_use_cudagraph": true})"),
              AllOf(HasSubstr("draft_model_use_cudagraph"), HasSubstr("no speculative decoding")));
}

TEST(GraphFlags, ShortFlagAndConfig) {
  EXPECT_EQ(graph_config_of({}), GraphConfig{});
  EXPECT_TRUE(graph_config_of({.use_cudagraph = true}).use_cudagraph);
  EXPECT_TRUE(graph_config_of({.graph_optimization_config = R"({"use_cudagraph": true})"}).use_cudagraph);
  EXPECT_EQ(graph_config_of({.graph_optimization_config = R"({"graph_opt_level": 1})", .use_cudagraph = true})
                .graph_opt_level,
            1);
  EXPECT_NO_THROW(
      graph_config_of({.graph_optimization_config = R"({"use_cudagraph": true})", .use_cudagraph = true}));
  EXPECT_THAT(
      refused(GraphFlags{.graph_optimization_config = R"({"use_cudagraph": false})", .use_cudagraph = true}),
      AllOf(HasSubstr("--use-cudagraph contradicts"), HasSubstr("\"use_cudagraph\": false")));
  EXPECT_THAT(
      refused(GraphFlags{.graph_optimization_config = R"({"use_cudagraph": true})", .use_cudagraph = false}),
      AllOf(HasSubstr("--use-cudagraph=false contradicts"), HasSubstr("\"use_cudagraph\": true")));
}

TEST(GraphFlags, Verify) {
  EXPECT_EQ(graph_config_of({.graph_verify = "off"}).verify, GraphVerify{});
  EXPECT_TRUE(graph_config_of({.graph_verify = "startup"}).verify.startup);
  EXPECT_EQ(graph_config_of({.graph_verify = "sample=10"}).verify.sample, 10);
  for (const char* text : {"", "on", "sample", "sample=", "sample=0", "sample=-1", "sample=1x", "sample=1.5",
                           "sample=99999999999999999999"})
    EXPECT_THAT(refused(GraphFlags{.graph_verify = text}), HasSubstr("expected off, startup, or sample=N"))
        << text;
}

TEST(GraphFlags, AutoChoosesWhatNobodySaid) {
  const GraphConfig config = graph_config_of({.graph_opt = "auto"});
  EXPECT_TRUE(config.choose_level);
  EXPECT_TRUE(config.choose_capture);
  EXPECT_FALSE(graph_config_of({.use_cudagraph = true, .graph_opt = "auto"}).choose_capture);
  EXPECT_THAT(refused(GraphFlags{.graph_opt = "fastest"}), HasSubstr("is 'fastest', expected auto"));
  for (const char* level : {"0", "1"})
    EXPECT_THAT(
        refused(GraphFlags{.graph_optimization_config = std::string("{\"graph_opt_level\": ") + level + "}",
                           .graph_opt = "auto"}),
        AllOf(HasSubstr("auto chooses the level"), HasSubstr(std::string("\"graph_opt_level\": ") + level)));
}

TEST(GraphFlags, CandidatesOfAuto) {
  const auto paths = [](const GraphFlags& flags, bool has_compiler) {
    std::string out;
    for (const GraphConfig& config :
         graph_candidates(graph_config_of(flags), {.has_compiler = has_compiler})) {
      EXPECT_FALSE(config.choose_level || config.choose_capture);
      out += std::to_string(config.graph_opt_level) + (config.use_cudagraph ? "+ " : " ");
    }
    return out;
  };
  EXPECT_EQ(paths({}, true), "0 ");
  EXPECT_EQ(paths({.use_cudagraph = true}, true), "0+ ");
  EXPECT_EQ(paths({.graph_opt = "auto"}, false), "0 0+ 1 1+ ");
  EXPECT_EQ(paths({.graph_opt = "auto"}, true), "0 0+ 1 1+ 2 2+ ");
  EXPECT_EQ(paths({.use_cudagraph = true, .graph_opt = "auto"}, false), "0+ 1+ ");
  EXPECT_EQ(paths({.use_cudagraph = false, .graph_opt = "auto"}, false), "0 1 ");
  EXPECT_EQ(paths({.graph_optimization_config = R"({"full_cuda_graph": false})", .graph_opt = "auto"}, false),
            "1 1+ ");
}

TEST(GraphSupport, IsAskedForByLevelAndCapture) {
  const auto refused = [](const GraphConfig& config, bool supports) {
    return error_of([&] { require_graph_support(config, "FancyForCausalLM", supports); });
  };
  EXPECT_EQ(refused({}, false), "");
  EXPECT_EQ(refused({.graph_opt_level = 1, .use_cudagraph = true}, true), "");
  EXPECT_THAT(refused({.graph_opt_level = 1}, false),
              AllOf(HasSubstr("FancyForCausalLM"), HasSubstr("graph_opt_level above 0"),
                    HasSubstr("supports_graph_optimization")));
  EXPECT_THAT(refused({.use_cudagraph = true}, false), HasSubstr("use_cudagraph asks for it"));
  EXPECT_THAT(refused({.choose_level = true}, false), HasSubstr("--graph-opt auto"));
}

TEST(ResolvedGraph, RefusesWhatCannotBeServed) {
  EXPECT_THAT(unserved(R"({"graph_opt_level": 2})"), HasSubstr("this build has no compiler"));
  EXPECT_EQ(unserved(R"({"graph_opt_level": 2})", {.can = {.has_compiler = true}}), "");
  EXPECT_THAT(unserved(R"({"full_cuda_graph": false})"),
              HasSubstr("\"full_cuda_graph\" is false at graph_opt_level 0"));
  EXPECT_EQ(unserved(R"({"full_cuda_graph": false, "graph_opt_level": 1, "use_cudagraph": true})"), "");
  EXPECT_THAT(
      unserved(R"({"use_cudagraph": true, "cudagraph_capture_sizes": [9, 100]})"),
      AllOf(HasSubstr("is [9, 100], all above --max-num-seqs (8)"), HasSubstr("nothing would be captured")));
  EXPECT_THAT(unserved(R"({"cudagraph_capture_sizes": [9]})"), HasSubstr("nothing would be captured"))
      << "without capture the list is wrong all the same";
  EXPECT_THAT(unserved(R"({"cudagraph_only_prefill": true, "use_cudagraph": true,
                           "cudagraph_capture_sizes_prefill": [600], "max_capture_shape_prefill": 512})"),
              HasSubstr("all above max_capture_shape_prefill (512)"));
}

TEST(ResolvedGraph, NullIsOneRecordingWhereThatWorks) {
  const ResolvedGraph graph = resolved(R"({"use_cudagraph": true})", {.max_num_seqs = 32});
  EXPECT_TRUE(graph.decode.any_size);
  EXPECT_THAT(graph.decode.sizes, ElementsAre(32));
  EXPECT_THAT(graph.prefill.sizes, IsEmpty());
  EXPECT_THAT(graph.warnings, IsEmpty());
  const ResolvedGraph split =
      resolved(R"({"use_cudagraph": true, "graph_opt_level": 1, "full_cuda_graph": false})");
  EXPECT_TRUE(split.split_at_attention());
  EXPECT_THAT(split.decode.sizes, ElementsAre(8));
  EXPECT_TRUE(split.prefill.any_size);
  EXPECT_THAT(split.prefill.sizes, ElementsAre(512));
}

TEST(ResolvedGraph, NullIsTheDefaultListElsewhere) {
  const ResolvedGraph graph = resolved(R"({"use_cudagraph": true})", kNoRebinding);
  EXPECT_FALSE(graph.decode.any_size);
  EXPECT_THAT(graph.decode.sizes, ElementsAre(1, 2, 4, 8, 16, 24, 32));
  const ResolvedGraph prefill =
      resolved(R"({"use_cudagraph": true, "cudagraph_only_prefill": true})", kNoRebinding);
  EXPECT_THAT(prefill.decode.sizes, IsEmpty());
  EXPECT_THAT(prefill.prefill.sizes, ElementsAre(1, 2, 4, 8, 16, 32, 64, 128, 256, 512));
  EXPECT_THAT(
      resolved(R"({"use_cudagraph": true})", {.max_num_seqs = 2000, .can = {.one_recording_fits = false}})
          .warnings,
      ElementsAre(AllOf(HasSubstr("ends at 1024"), HasSubstr("2000"))));
}

TEST(ResolvedGraph, UserListIsHonouredAsGiven) {
  const ResolvedGraph graph = resolved(R"({"use_cudagraph": true, "cudagraph_capture_sizes": [8, 1, 3, 3]})");
  EXPECT_FALSE(graph.decode.any_size);
  EXPECT_THAT(graph.decode.sizes, ElementsAre(1, 3, 8));
  EXPECT_THAT(graph.warnings, IsEmpty());
}

TEST(ResolvedGraph, WarnsOfCroppedAndMissingSizes) {
  EXPECT_THAT(
      resolved(R"({"use_cudagraph": true, "cudagraph_capture_sizes": [8, 9, 16, 9]})").warnings,
      ElementsAre(AllOf(HasSubstr("[9, 16]"), HasSubstr("--max-num-seqs (8)"), HasSubstr("not captured"))));
  EXPECT_THAT(resolved(R"({"use_cudagraph": true, "cudagraph_capture_sizes": [1, 3, 5]})").warnings,
              ElementsAre(AllOf(HasSubstr("largest size is 5"), HasSubstr("--max-num-seqs (8)"),
                                HasSubstr("without a graph"))));
  const ResolvedGraph small = resolved(
      R"({"use_cudagraph": true, "cudagraph_only_prefill": true, "cudagraph_capture_sizes_prefill": [64, 128]})",
      {.max_num_batched_tokens = 100});
  EXPECT_THAT(small.prefill.sizes, ElementsAre(64));
  EXPECT_THAT(small.warnings, ElementsAre(HasSubstr("[128] are above --max-num-batched-tokens (100)"),
                                          HasSubstr("largest size is 64")));
}

TEST(ResolvedGraph, WarnsOfKeysWithoutEffect) {
  EXPECT_THAT(
      resolved(R"({"cudagraph_capture_sizes": [8], "cudagraph_only_prefill": true})").warnings,
      ElementsAre("cudagraph_capture_sizes, cudagraph_only_prefill without effect: use_cudagraph is off"));
  EXPECT_THAT(resolved(R"({"graph_opt_level": 1, "full_cuda_graph": false})").warnings,
              ElementsAre(HasSubstr("full_cuda_graph without effect")));
  EXPECT_THAT(
      resolved(R"({"use_cudagraph": true, "max_capture_shape_prefill": 64})").warnings,
      ElementsAre(HasSubstr("max_capture_shape_prefill without effect: prefill is captured only with")));
  EXPECT_THAT(
      resolved(R"({"use_cudagraph": true, "cudagraph_only_prefill": true, "cudagraph_capture_sizes": [8]})")
          .warnings,
      ElementsAre(HasSubstr("captures no decode steps")));
  EXPECT_THAT(resolve_graph(graph_config_of({.graph_verify = "startup"}), {}).warnings,
              ElementsAre(HasSubstr("--graph-verify without effect")));
  EXPECT_THAT(resolve_graph(graph_config_of({.capture_before_ready = true}), {}).warnings,
              ElementsAre(HasSubstr("--capture-before-ready without effect")));
  EXPECT_THAT(resolved("{}").warnings, IsEmpty());
}

// The environment is the process's: set for one test only.
class PartitionSize : public testing::Test {
 protected:
  void SetUp() override { unsetenv(kName); }
  void TearDown() override { unsetenv(kName); }
  static constexpr const char* kName = "FLAGS_max_partition_size";
};

TEST_F(PartitionSize, FlagThenEnvironmentThenDefault) {
  EXPECT_EQ(choose_max_partition_size(0), 2048);
  EXPECT_EQ(choose_max_partition_size(64), 64);
  setenv(kName, "1024", 1);
  EXPECT_EQ(choose_max_partition_size(0), 1024);
  EXPECT_EQ(choose_max_partition_size(1024), 1024);
}

TEST_F(PartitionSize, ContradictionQuotesBoth) {
  setenv(kName, "1024", 1);
  EXPECT_THAT(error_of([] { choose_max_partition_size(64); }),
              AllOf(HasSubstr("--max-partition-size 64"), HasSubstr("FLAGS_max_partition_size=1024")));
  for (const char* text : {"", "x", "0", "-64", "64k", "1e3"}) {
    setenv(kName, text, 1);
    EXPECT_THAT(error_of([] { choose_max_partition_size(0); }), HasSubstr("expected a positive number"))
        << text;
  }
}

TEST_F(PartitionSize, IsAMultipleOfAttentionsTile) {
  for (const int64_t size : {16, 100, -64, 0})
    EXPECT_THAT(error_of([&] { EngineConfig{.max_partition_size = size}.resolved(); }),
                HasSubstr("a positive multiple of 64"))
        << size;
  EXPECT_NO_THROW(EngineConfig{.max_partition_size = 64}.resolved());
}

// Rows "| `...` |" of a table below a heading of docs/graph-optimization.md: what is in the first backticks.
std::vector<std::string> documented(const std::string& heading) {
  std::ifstream file(REPRISE_SOURCE_DIR "/docs/graph-optimization.md");
  std::vector<std::string> rows;
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("## ")) inside = line == "## " + heading;
    if (!inside || !line.starts_with("| `")) continue;
    const size_t last = line.find("` |");
    rows.push_back(line.substr(3, last - 3));
  }
  return rows;
}

TEST(GraphDocs, EachRefusalThatIsQuotedOccurs) {
  setenv("FLAGS_max_partition_size", "128", 1);
  const std::string partition = error_of([] { choose_max_partition_size(64); });
  unsetenv("FLAGS_max_partition_size");
  const std::string messages[] = {
      refused(R"({"use_cudagrap": true})"),
      refused(R"({"use_cudagraph": true, "use_cudagraph": false})"),
      refused(R"({"graph_opt_level": 3})"),
      refused(R"({"cudagraph_capture_sizes": [4, 0]})"),
      refused(R"({"cudagraph_capture_sizes": []})"),
      refused(GraphFlags{.graph_optimization_config = R"({"use_cudagraph": false})", .use_cudagraph = true}),
      unserved(R"({"full_cuda_graph": false, "use_cudagraph": true})"),
      unserved(R"({"graph_opt_level": 2})"),
      refused(GraphFlags{.graph_optimization_config = R"({"graph_opt_level": 1})", .graph_opt = "auto"}),
      partition};
  const std::vector<std::string> rows = documented("What is refused");
  EXPECT_EQ(rows.size(), std::size(messages));
  for (const std::string& row : rows) {
    const auto quotes = [&](const std::string& message) {  // its pieces between "..." in their order
      size_t from = 0;
      for (size_t begin = 0; begin < row.size();) {
        const size_t end = std::min(row.find("...", begin), row.size());
        const size_t at = message.find(row.substr(begin, end - begin), from);
        if (at == std::string::npos) return false;
        from = at + end - begin;
        begin = end + 3;
      }
      return true;
    };
    EXPECT_TRUE(std::any_of(std::begin(messages), std::end(messages), quotes)) << row;
  }
}

TEST(GraphDocs, TheCodesOfStepsThatAreNotReplayedAreThese) {
  std::vector<std::string> codes;
  for (size_t i = 0; i < kNotReplayedReasons; ++i) codes.emplace_back(code_of(static_cast<NotReplayed>(i)));
  EXPECT_THAT(documented("Why a step was not replayed"), testing::UnorderedElementsAreArray(codes));
}

}  // namespace
}  // namespace reprise::engine
