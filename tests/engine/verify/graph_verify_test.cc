// What --graph-verify and the two-capture diff find, each by a fault planted in a model's op; and what they
// try.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/capture_error.h"
#include "core/error.h"
#include "engine/replay/graph_backend.h"
#include "engine/runner/runner.h"
#include "engine/verify/made_up_steps.h"
#include "engine/verify/step_verifier.h"
#include "tests/device/host_mirror_device.h"
#include "tests/engine/probe_model.h"

namespace reprise::engine {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

EngineConfig config_of(const GraphConfig& graph, bool verify = true) {
  EngineConfig config = small_engine_config();
  config.graph = graph;
  config.graph.use_cudagraph = true;
  config.graph.cudagraph_num_of_warmups = 1;
  config.graph.capture_before_ready = true;
  config.graph.verify.startup = verify;
  return config;
}

struct RowBytes {
  int64_t bytes;
};

template <KernelFunction kernel, int64_t (*scalar)(const ops::OpCall&, Stream&)>
void launch_kernel(const ops::OpCall& call, Stream& stream, std::span<const Tensor> outputs,
                   ops::WorkspaceAllocator&) {
  stream.launch({"probe_kernel", kernel}, {.items = outputs[0].shape.elements(), .grain = 1 << 20},
                {reads(call.input(0)), writes(outputs[0])}, RowBytes{scalar(call, stream)});
}
// y = x, unless the last word of the op's workspace holds a NaN before anything wrote there. The workspace is
// larger than all other values, so nothing else of the step lies at its end.
constexpr int64_t kLastWord = 20000;
void leaks_what_was_there(const KernelContext& context, int64_t begin, int64_t end) {
  const float left = context.buffer<const float>(2)[kLastWord - 1];
  for (int64_t i = begin; i < end; ++i)
    context.buffer<float>(1)[i] = std::isnan(left) ? left : context.buffer<const float>(0)[i];
}
const ops::OpSchema kLeaks = copying_op("test_leaks");
void launch_leaks(const ops::OpCall& call, Stream& stream, std::span<const Tensor> outputs,
                  ops::WorkspaceAllocator& workspace) {
  stream.launch(
      {"leaks", leaks_what_was_there}, {.items = outputs[0].shape.elements()},
      {reads(call.input(0)), writes(outputs[0]), updates(workspace.workspace(DType::f32, Shape{kLastWord}))},
      RowBytes{0});
}

TEST(GraphVerify, FindsAReadOfUnwrittenMemoryInEveryArena) {
  register_probe(kLeaks, {launch_leaks});
  for (const int level : {0, 1})
    for (const bool shared : {true, false})
      for (const bool prefill : {false, true}) {
        SCOPED_TRACE(fmt::format("level {}, {}, {}", level, shared ? "one pool" : "private pools",
                                 prefill ? "prefill" : "decode"));
        GraphConfig graph{.graph_opt_level = level, .use_unique_memory_pool = shared};
        if (prefill) {
          graph.cudagraph_only_prefill = true;
          graph.cudagraph_capture_sizes_prefill = std::vector<int64_t>{8};
        } else {
          graph.cudagraph_capture_sizes = std::vector<int64_t>{4};
        }
        SmallEngine engine(config_of(graph), DType::f32, Isa::scalar, 2, kProbeFamily);
        EXPECT_THAT(
            engine.engine.problems(),
            Contains(AllOf(HasSubstr("first in op 'test_leaks' of layer 'probe'"), HasSubstr("NaN"))));
        EXPECT_EQ(engine.engine.graph().stats().captures, 1);
        EXPECT_EQ(engine.engine.graph().stats().capture_failures, 1);
      }
}

// Right when it is launched; as it was recorded, wrong for exactly `sequences` sequences.
int64_t wrong_sequences = 0;
int64_t recorded(const ops::OpCall&, Stream& stream) {
  return stream.recording() ? wrong_sequences : 0;
}
void wrong_for_some(const KernelContext& context, int64_t begin, int64_t end) {
  const bool wrong = context.sizes.seqs == context.get_scalars<RowBytes>().bytes && context.sizes.tokens > 1;
  for (int64_t i = begin; i < end; ++i)
    context.buffer<float>(1)[i] = context.buffer<const float>(0)[i] + (wrong ? 1.0f : 0.0f);
}

TEST(GraphVerify, TriesPrefillsOfOneTwoAndManySequences) {
  static constexpr ops::OpSchema op = copying_op("test_wrong_for_some");
  register_probe(op, {launch_kernel<wrong_for_some, recorded>});
  for (const bool list : {false, true})
    for (const bool split : {false, true})
      for (const int64_t sequences : {0, 1, 2, 8}) {
        SCOPED_TRACE(fmt::format("{} sequences, {}, {}", sequences, list ? "a list" : "one recording",
                                 split ? "split" : "only prefill"));
        wrong_sequences = sequences;
        GraphConfig graph{.graph_opt_level = 1, .full_cuda_graph = !split, .cudagraph_only_prefill = !split};
        graph.max_capture_shape_prefill = 32;  // 16 and 32 tokens are tried, or 16 of 17
        if (list) graph.cudagraph_capture_sizes_prefill = std::vector<int64_t>{17};
        if (split) graph.cudagraph_capture_sizes = std::vector<int64_t>{1};
        SmallEngine engine(config_of(graph), DType::f32, Isa::scalar, 1, kProbeFamily);
        const std::vector<std::string>& problems = engine.engine.problems();
        if (sequences == 0) {
          EXPECT_THAT(problems, IsEmpty());
        } else {
          EXPECT_THAT(problems,
                      Contains(AllOf(HasSubstr(fmt::format("in {} sequences", sequences)),
                                     HasSubstr("first in op 'test_wrong_for_some' of layer 'probe'"))));
        }
      }
  wrong_sequences = 0;
}

TEST(MadeUpSteps, DecodeBehindShortAndLongHistories) {
  const auto longest = [](const std::vector<SequenceShape>& step) {
    return std::ranges::max(step, {}, &SequenceShape::history).history;
  };
  for (const int64_t tokens : {1, 2, 8, 64}) {
    const auto steps = decode_shapes(tokens, {64, 512, 4096, 16, 512});
    EXPECT_EQ(steps.size(), tokens == 1 ? 2u : 1u);
    for (const std::vector<SequenceShape>& step : steps) EXPECT_EQ(step.size(), static_cast<size_t>(tokens));
    EXPECT_GT(longest(steps.back()), 128);
    EXPECT_EQ(steps.front().back().history, 1 + (tokens - 1) % 13);
  }
  // What the limits leave: no more than a step's tokens, a sequence's length, and the blocks that are there.
  EXPECT_EQ(longest(decode_shapes(2, {8, 100, 4096, 16, 512}).back()), 100);
  EXPECT_EQ(longest(decode_shapes(2, {8, 512, 64, 16, 512}).back()), 63);
  EXPECT_EQ(longest(decode_shapes(2, {8, 512, 4096, 16, 4}).back()), 47);  // in three of four blocks
  EXPECT_EQ(make_up(decode_shapes(2, {8, 512, 4096, 16, 4})[0], 101, {8, 512, 4096, 16, 4}).size(), 2u);
  EXPECT_EQ(decode_shapes(1, {8, 512, 2, 16, 512}).size(), 1u);
}

TEST(MadeUpSteps, AreUnevenChunkedAndWithinTheLimits) {
  for (const MadeUpLimits& limits : {MadeUpLimits{8, 256, 256, 16, 64}, MadeUpLimits{16, 16, 20, 16, 3},
                                     MadeUpLimits{1, 512, 64, 32, 64}, MadeUpLimits{64, 2048, 4096, 16, 512}})
    for (const int64_t tokens : {1, 2, 3, 7, 8, 16, 255, 256}) {
      if (tokens > limits.tokens) continue;
      for (const bool mixed : {false, true}) {
        SCOPED_TRACE(fmt::format("{} tokens, {} sequences, mixed {}", tokens, limits.sequences, mixed));
        const auto steps = prefill_shapes(tokens, mixed, limits);
        ASSERT_FALSE(steps.empty());
        std::set<size_t> counts;
        bool chunked = false, decodes = false;
        for (const std::vector<SequenceShape>& step : steps) {
          counts.insert(step.size());
          int64_t sum = 0;
          for (const SequenceShape& sequence : step) {
            EXPECT_GE(sequence.step_tokens, 1);
            EXPECT_GE(sequence.history, 0);
            EXPECT_LE(sequence.history, limits.tokens);
            EXPECT_LE(sequence.history + sequence.step_tokens, limits.length);
            chunked |= sequence.history > 0 && sequence.step_tokens > 1;
            decodes |= sequence.step_tokens == 1;
            sum += sequence.step_tokens;
          }
          EXPECT_LE(sum, tokens);
          EXPECT_LE(step.size(), static_cast<size_t>(limits.sequences));
          const std::vector<MadeUp> made = make_up(step, 101, limits);
          std::set<BlockId> blocks;
          for (const MadeUp& sequence : made)
            for (const BlockId block : sequence.blocks) {
              EXPECT_TRUE(blocks.insert(block).second) << "a block of two sequences";
              EXPECT_GE(block, 1);
              EXPECT_LE(block, limits.blocks);
            }
        }
        if (tokens > 1 && !mixed) {
          EXPECT_FALSE(decodes);
        }
        if (tokens >= 16 && limits.sequences >= 8 && limits.blocks > 16) {
          EXPECT_TRUE(chunked);
          EXPECT_EQ(decodes, mixed);
          EXPECT_THAT(counts, testing::IsSupersetOf({size_t{1}, size_t{2}}));
          EXPECT_GE(*counts.rbegin(), 8u);
        }
      }
    }
}

// A scalar that depends on what the inputs hold, in the middle of the model.
const int32_t* watched = nullptr;
int64_t first_length(const ops::OpCall&, Stream&) {
  return watched[0];
}
void copies(const KernelContext& context, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) context.buffer<float>(1)[i] = context.buffer<const float>(0)[i];
}
constexpr ops::OpSchema kDynamic = copying_op("test_dynamic_scalar");
void register_dynamic() {
  ops::register_launch(kDynamic, DeviceKind::cpu, {launch_kernel<copies, first_length>});
  register_probe([](const Tensor& x, const models::ForwardInput& input) {
    watched = input.rope_lengths.as<int32_t>();
    return ops::dispatch_one(ops::OpCall(kDynamic, {&x}));
  });
}

// Without --graph-verify: at every capture, before serving and between steps.
TEST(TwoCaptureDiff, RunsAtEveryCapture) {
  register_dynamic();
  for (const int level : {0, 1})
    for (const bool before_ready : {false, true})
      for (const bool verify : {false, true}) {
        SCOPED_TRACE(fmt::format("level {}, before ready {}, verify {}", level, before_ready, verify));
        GraphConfig graph{.graph_opt_level = level};
        graph.cudagraph_capture_sizes = std::vector<int64_t>{2, 8};
        EngineConfig config = config_of(graph, verify);
        config.graph.capture_before_ready = before_ready;
        SmallEngine engine(config, DType::f32, Isa::scalar, 1, kProbeFamily);
        engine.run({{small_prompt(5), {.max_tokens = 12}}});
        const GraphStats stats = engine.engine.graph().stats();
        EXPECT_EQ(stats.captures, 0);
        EXPECT_EQ(stats.capture_failures, 2);
        EXPECT_EQ(stats.pending, 0);
        EXPECT_THAT(stats.failure, AllOf(HasSubstr("dynamic launch"), HasSubstr("'test_dynamic_scalar'"),
                                         HasSubstr("'probe'"), HasSubstr("scalars at byte 0")));
        EXPECT_EQ(engine.engine.stats().steps.replayed, 0);
        EXPECT_GT(engine.engine.stats().steps.not_replayed[static_cast<size_t>(NotReplayed::capture_failed)],
                  3);
        EXPECT_THAT(engine.engine.problems(), SizeIs(verify ? 2 : 0));
        EXPECT_EQ(engine.results.begin()->second.token_ids.size(), 12u);
        EXPECT_EQ(engine.engine.graph().held_object_bytes(), 0u);
      }
}

// The same for the model's own code, when it is traced: level 0 serves without captures, level 1 can't start.
TEST(TwoCaptureDiff, CodeThatFollowsTheInputsIsNotCaptured) {
  register_probe([](const Tensor& x, const models::ForwardInput& input) {
    return input.positions.as<int32_t>()[0] > 10 ? ops::add(x, x) : x;
  });
  GraphConfig graph;
  graph.cudagraph_capture_sizes = std::vector<int64_t>{2};
  SmallEngine engine(config_of(graph, false), DType::f32, Isa::scalar, 1, kProbeFamily);
  engine.run({{small_prompt(5), {.max_tokens = 4}}});
  EXPECT_EQ(engine.engine.stats().steps.replayed, 0);
  EXPECT_THAT(engine.engine.graph().stats().failure, AllOf(HasSubstr("dynamic launch"), HasSubstr("add(")));
  graph.graph_opt_level = 1;
  EXPECT_THROW(SmallEngine(config_of(graph, false), DType::f32, Isa::scalar, 1, kProbeFamily), CaptureError);
}

TEST(TwoCaptureDiff, SoundModelsAreCapturedAndItIsTimed) {
  for (const char* family : {"LlamaForCausalLM", "Qwen3ForCausalLM", "Ernie4_5ForCausalLM"}) {
    GraphConfig graph{.graph_opt_level = 1};
    graph.cudagraph_capture_sizes = std::vector<int64_t>{1, 2, 4, 8};
    SmallEngine engine(config_of(graph, false), DType::f32, Isa::scalar, 1, family);
    const GraphStats stats = engine.engine.graph().stats();
    EXPECT_EQ(stats.captures, 4);
    EXPECT_EQ(stats.capture_failures, 0) << stats.failure;
    EXPECT_GT(stats.compare_s, 0);
    EXPECT_GE(stats.capture_s, stats.compare_s);
  }
}

// A warm-up that throws ends that capture and nothing else.
bool warm_up_fails = false;
void throws(const ops::OpCall&, Stream& stream) {
  if (warm_up_fails && !stream.recording()) throw std::runtime_error("no memory for the warm-up");
}
TEST(GraphBackend, AWarmUpThatThrowsIsContained) {
  static constexpr ops::OpSchema op = copying_op("test_throws");
  register_probe(op, {launch_copy<throws>});
  for (const int level : {0, 1}) {
    GraphConfig graph{.graph_opt_level = level};
    graph.cudagraph_capture_sizes = std::vector<int64_t>{2, 4};
    warm_up_fails = true;
    SmallEngine engine(config_of(graph, false), DType::f32, Isa::scalar, 1, kProbeFamily);
    warm_up_fails = false;
    const GraphStats stats = engine.engine.graph().stats();
    EXPECT_EQ(stats.pending, 0);
    EXPECT_EQ(stats.capture_failures, 2);
    EXPECT_THAT(stats.failure, HasSubstr("no memory for the warm-up"));
    engine.run({{small_prompt(5), {.max_tokens = 4}}});
    EXPECT_EQ(engine.results.begin()->second.token_ids.size(), 4u);
    EXPECT_EQ(engine.engine.stats().steps.replayed, 0);
  }
}

// Workspace of an op that can't be captured: planned at both levels, and held as it was planned.
void plan_rows(const ops::OpCall&, ops::WorkspaceAllocator& workspace) {
  workspace.workspace(DType::f32, Shape{kTokens, 1000});
}
TEST(GraphBackend, WorkspaceOfAnOpThatCannotBeCapturedIsPlanned) {
  static constexpr ops::OpSchema op =
      copying_op("test_uncapturable_workspace", ops::OpKind::opaque, /*capturable=*/false);
  const ops::OpLaunch launch{[](const ops::OpCall& call, Stream& stream, std::span<const Tensor> outputs,
                                ops::WorkspaceAllocator& workspace) {
                               stream.fill_bytes(workspace.workspace(DType::f32, Shape{kTokens, 1000}), 0xff);
                               stream.copy(call.input(0), outputs[0]);
                             },
                             plan_rows};
  register_probe([](const Tensor& x, const models::ForwardInput&) { return x; });
  SmallEngine plain(small_engine_config(), DType::f32, Isa::scalar, 1, kProbeFamily);
  plain.run({{small_prompt(9), {.max_tokens = 8}}});
  const size_t without = plain.engine.memory().arena_bytes;
  register_probe(op, launch);
  for (const int level : {0, 1})
    for (const bool shared : {true, false}) {
      SCOPED_TRACE(fmt::format("level {}, one pool {}", level, shared));
      GraphConfig graph{.graph_opt_level = level, .use_unique_memory_pool = shared};
      graph.cudagraph_capture_sizes = std::vector<int64_t>{2, 8};
      SmallEngine engine(config_of(graph), DType::f32, Isa::scalar, 2, kProbeFamily);
      EXPECT_THAT(engine.engine.problems(), IsEmpty());
      engine.run({{small_prompt(9), {.max_tokens = 8}}});
      EXPECT_EQ(engine.results.begin()->second.token_ids, plain.results.begin()->second.token_ids);
      EXPECT_GT(engine.engine.stats().steps.split, 3);
      const size_t rows = 256;  // max_num_batched_tokens is at least that
      EXPECT_GE(engine.engine.memory().arena_bytes, without + rows * 1000 * 4);
      const auto model = small_model(engine.team, engine.device, DType::f32, kProbeFamily);
      Runner runner(*model, EngineServices(engine.device), config_of(graph).resolved(), size_t{1} << 30);
      while (runner.graph().capture_next()) {
      }
      EXPECT_EQ(runner.touch(), runner.planned());
    }
}

}  // namespace
}  // namespace reprise::engine
