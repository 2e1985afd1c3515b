// Seeded faults of core/fault.h, each caught by a named catcher, which finds nothing without it. The list,
// with those that other folders' tests switch on: docs/mutation.md.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "core/error.h"
#include "core/fault.h"
#include "engine/replay/graph_backend.h"
#include "engine/verify/step_verifier.h"
#include "tests/engine/small_model.h"

namespace reprise::engine {
namespace {

using testing::AllOf;
using testing::AnyOf;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

EngineConfig config_of(int level, std::vector<int64_t> sizes) {
  EngineConfig config = small_engine_config();
  config.graph = {.graph_opt_level = level, .use_cudagraph = true};
  if (!sizes.empty()) config.graph.cudagraph_capture_sizes = std::move(sizes);
  config.graph.cudagraph_num_of_warmups = 1;
  config.graph.capture_before_ready = true;
  return config;
}

// What --graph-verify startup says, or what refuses to start.
std::vector<std::string> found_at_start(EngineConfig config) {
  config.graph.verify.startup = true;
  try {
    return SmallEngine(config, DType::f32, Isa::scalar, 2).engine.problems();
  } catch (const std::exception& error) {
    return {error.what()};
  }
}

// What --graph-verify sample=1 says while requests run, or what ends them.
std::string found_while_serving(EngineConfig config) {
  config.graph.verify.sample = 1;
  try {
    SmallEngine engine(config, DType::f32, Isa::scalar, 2);
    engine.run({{small_prompt(5), {.max_tokens = 4}}, {small_prompt(9, 1), {.max_tokens = 6}}});
    for (const auto& [request, result] : engine.results)
      if (!result.error.empty()) return result.error;
    EXPECT_GT(engine.engine.verified().checked, 2);
    return engine.engine.verified().last;
  } catch (const std::exception& error) {
    return error.what();
  }
}

struct Seed {
  const char* name;
  Fault fault;
  int64_t site = 0, detail = 0;
  std::vector<int64_t> sizes = {};
  // The passes leave values that are read once and nodes that wait for the one before: some faults change
  // nothing.
  int levels = 2;
};

void expect_found_at_start(const Seed& seed, const testing::Matcher<std::string>& message) {
  for (int level = 0; level < seed.levels; ++level) {
    SCOPED_TRACE(fmt::format("{}, level {}", seed.name, level));
    const EngineConfig config = config_of(level, seed.sizes);
    EXPECT_THAT(found_at_start(config), IsEmpty());
    const FaultScope fault(seed.fault, seed.site, seed.detail);
    EXPECT_THAT(found_at_start(config), Contains(message));
  }
}

TEST(Mutation, ThePlannerOverlapsLiveBuffers) {
  for (const Seed& seed : {Seed{"ends at first use", Fault::plan_ends_at_first_use, 0, 0, {}, 1},
                           Seed{"sizes for one token", Fault::plan_sizes_for_one_token}})
    expect_found_at_start(seed, AllOf(HasSubstr("the memory plan"), HasSubstr("nodes")));
}

TEST(Mutation, TheReplayMissesAWait) {
  for (const Seed& seed :
       {Seed{"no waits of a node", Fault::replay_skips_waits_of_node, 5},
        Seed{"no waits of a node, a list", Fault::replay_skips_waits_of_node, 9, 0, {2, 8}},
        Seed{"no write after read", Fault::dependencies_ignore_write_after_read, 0, 0, {}, 1}})
    expect_found_at_start(seed, AllOf(HasSubstr("does not wait for op '"), HasSubstr("of layer '")));
}

TEST(Mutation, AStaleAddress) {
  for (const Seed& seed :
       {Seed{"shifted", Fault::replay_shifts_address, 3, 1},
        Seed{"shifted, a list", Fault::replay_shifts_address, 3, 1, {2, 8}},
        Seed{"of an earlier node", Fault::replay_keeps_address_of_earlier, 4, 0},
        Seed{"of an earlier node, a list", Fault::replay_keeps_address_of_earlier, 4, 0, {3}}})
    expect_found_at_start(
        seed, AllOf(HasSubstr("first in op '"), HasSubstr("of layer '"), HasSubstr("as it is replayed")));
}

TEST(Mutation, AWrongCapturedSize) {
  for (const Seed& seed : {Seed{"the last token is dropped", Fault::replay_drops_last_token},
                           Seed{"the last item is lost", Fault::replay_loses_last_item, 4}})
    expect_found_at_start(seed, AllOf(HasSubstr("first in op '"), HasSubstr("of layer '")));
  expect_found_at_start({"one token less, any size", Fault::capture_serves_one_token_less},
                        AllOf(HasSubstr("shape changed"), HasSubstr("op '")));
  expect_found_at_start({"one token less, a list", Fault::capture_serves_one_token_less, 0, 0, {4, 8}},
                        AllOf(HasSubstr("shape changed"), HasSubstr("op '")));
  const EngineConfig config = config_of(1, {1, 2, 4});
  EXPECT_EQ(found_while_serving(config), "");
  const FaultScope fault(Fault::path_takes_smaller_size);
  EXPECT_THAT(found_while_serving(config), HasSubstr("a step of 2 tokens is replayed as one of 1"));
}

// Every node of the static graph whose output has rows of tokens.
TEST(Mutation, PaddingLeaks) {
  expect_found_at_start({"real slot", Fault::padding_writes_real_slot, 0, 0, {4}},
                        AllOf(HasSubstr("attention"), HasSubstr("padding reaches the rows")));
  const EngineConfig config = config_of(1, {2});
  const SmallEngine clean(config);
  const graph::Graph graph = clean.engine.graph().graphs().step;
  int tried = 0;
  for (size_t node = 0; node < graph.nodes.size(); node += 3) {
    if (graph::computed_outputs(graph.nodes[node]) == 0) continue;
    if (graph.value(graph.nodes[node].outputs[0]).shape[0] != kTokens) continue;
    const FaultScope fault(Fault::op_mixes_in_last_row, static_cast<int64_t>(node));
    EXPECT_THAT(found_at_start(config),
                Contains(HasSubstr(fmt::format("first in op '{}' of layer '{}'",
                                               graph.nodes[node].schema->name, graph.nodes[node].layer))))
        << node;
    ++tried;
  }
  EXPECT_GT(tried, 2);
}

// One op of the static graph gives other bits: it is named, walked or replayed.
TEST(Mutation, AnOpOfTheStaticGraphComputesSomethingElse) {
  EngineConfig walked = config_of(1, {});
  walked.graph.use_cudagraph = false;
  for (const EngineConfig& config : {walked, config_of(1, {}), config_of(1, {4})}) {
    EXPECT_EQ(found_while_serving(config), "");
    const SmallEngine clean(config);
    const graph::Graph graph = clean.engine.graph().graphs().step;
    for (size_t node = 0; node < graph.nodes.size(); node += 4) {
      if (graph::computed_outputs(graph.nodes[node]) == 0) continue;
      const FaultScope fault(Fault::op_flips_bits, static_cast<int64_t>(node));
      EXPECT_THAT(found_while_serving(config),
                  AllOf(HasSubstr(fmt::format("first in op '{}' of layer '{}' of the static graph",
                                              graph.nodes[node].schema->name, graph.nodes[node].layer))))
          << node;
    }
  }
}

// What must hold of lists and of the paths that are chosen by them.
std::vector<std::string> list_problems() {
  std::vector<std::string> problems;
  std::mt19937 random(3);
  for (int64_t limit = 1; limit <= 300; ++limit) {
    const std::vector<int64_t> standard = default_capture_sizes(limit);
    if (standard.back() != limit)
      problems.push_back(fmt::format("the default list ends at {} of {}", standard.back(), limit));
    std::vector<int64_t> sizes{limit};
    for (int i = 0; i < 8; ++i) sizes.push_back(1 + static_cast<int64_t>(random() % 400));
    const CroppedSizes cropped = crop_sizes(sizes, limit);
    for (const int64_t size : sizes) {
      const bool kept = std::binary_search(cropped.kept.begin(), cropped.kept.end(), size);
      if (kept != (size <= limit))
        problems.push_back(fmt::format("{} of at most {} is {}", size, limit, kept ? "kept" : "dropped"));
    }
  }
  return problems;
}

TEST(Mutation, ListsAreCroppedWrongly) {
  EXPECT_THAT(list_problems(), IsEmpty());
  for (const Fault seeded : {Fault::crop_keeps_one_too_large, Fault::crop_drops_the_limit,
                             Fault::default_list_lacks_the_full_batch}) {
    const FaultScope fault(seeded);
    EXPECT_THAT(list_problems(), Not(IsEmpty())) << static_cast<int>(seeded);
  }
}

}  // namespace
}  // namespace reprise::engine
