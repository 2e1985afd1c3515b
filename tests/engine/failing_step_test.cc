// What the model's code does wrong: it throws in a step, a warm-up, a capture or a check, or gives NaN. Each
// is one request's or one capture's affair.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <new>

#include "core/error.h"
#include "device/cpu/isa_select.h"
#include "engine/verify/step_verifier.h"
#include "tests/engine/probe_model.h"

namespace reprise::engine {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// Launches until one throws; below 0: none does.
int64_t launches_left = -1;
int how = 0;

void throw_when_due(const ops::OpCall&, Stream&) {
  if (launches_left < 0 || launches_left-- > 0) return;
  if (how == 0) throw Error("[test] the op is broken");
  if (how == 1) throw std::bad_alloc();
  if (how == 2) throw InternalError("a check failed");
  throw 42;
}
const ops::OpSchema kThrowing = copying_op("test_throwing");

constexpr int kWays = 4;
const char* const kSaid[kWays] = {"the op is broken", "out of memory", "a check failed", "no std::exception"};

struct Probed : SmallEngine {
  explicit Probed(const EngineConfig& config)
      : SmallEngine(config, DType::f32, Isa::scalar, 1, kProbeFamily) {}
};

std::vector<Request> three_requests() {
  std::vector<Request> requests;
  for (uint32_t i = 0; i < 3; ++i)
    requests.push_back({small_prompt(5 + i, i), {.temperature = 1, .seed = i, .max_tokens = 6}});
  return requests;
}

struct NoScalars {
  int64_t unused = 0;
};

// What a kernel raises fails its step and no other, whatever else ends that step.
enum class Ends { well, raised, raised_and_thrown };
Ends next_launch = Ends::well;
void end_as_told(const ops::OpCall&, Stream& stream) {
  if (stream.recording()) return;
  const Ends ends = std::exchange(next_launch, Ends::well);
  if (ends == Ends::well) return;
  stream.launch({"raises", [](const KernelContext& context, int64_t,
                              int64_t) { context.raise(KernelStatus::index_out_of_range); }},
                {.items = 1}, {}, NoScalars{});
  if (ends == Ends::raised_and_thrown) throw Error("the op is broken");
}
const ops::OpSchema kRaising = copying_op("test_raising");

TEST(RaisedStatus, FailsItsStepAlone) {
  register_probe(kRaising, {launch_copy<end_as_told>});
  for (const Ends ends : {Ends::raised, Ends::raised_and_thrown}) {
    Probed engine(small_engine_config());
    next_launch = ends;
    engine.run({{small_prompt(5), {.max_tokens = 4}}});
    EXPECT_THAT((engine.results[{0, 0}].error),
                HasSubstr(ends == Ends::raised ? "[kernel]" : "the op is broken"));
    engine.run({{small_prompt(5), {.max_tokens = 4}}});
    EXPECT_EQ((engine.results[{1, 0}].error), "");
    EXPECT_EQ((engine.results[{1, 0}].token_ids.size()), 4u);
  }
}

class FailingStep : public testing::Test {
 protected:
  void SetUp() override {
    launches_left = -1;
    register_probe(kThrowing, {launch_copy<throw_when_due>});
    Probed clean(small_engine_config());
    expected_ = clean.run(three_requests());
  }
  void TearDown() override { launches_left = -1; }

  void expect_as_expected(Results& results, RequestId first = 0) {
    for (RequestId i = 0; i < 3; ++i) {
      EXPECT_EQ((results[{first + i, 0}].error), "");
      EXPECT_EQ((results[{first + i, 0}].token_ids), (expected_[{i, 0}].token_ids));
    }
  }

  Results expected_;
};

TEST_F(FailingStep, AForwardThatThrowsFailsItsStepOnly) {
  EngineConfig config = small_engine_config();
  config.max_num_seqs = 2;  // the third waits while the first two run
  for (how = 0; how < kWays; ++how)
    for (int64_t due = 0; due < 6; ++due) {
      SCOPED_TRACE(testing::Message() << how << ' ' << due);
      Probed small(config);
      launches_left = due;
      Results& results = small.run(three_requests());
      for (RequestId i : {0, 1}) {
        EXPECT_EQ((results[{i, 0}].finish_reason), FinishReason::error);
        EXPECT_THAT((results[{i, 0}].error), AllOf(HasSubstr("[step]"), HasSubstr(kSaid[how])));
      }
      EXPECT_EQ((results[{2, 0}].token_ids), (expected_[{2, 0}].token_ids));
      EXPECT_EQ(small.engine.stats().free_blocks, small.engine.memory().num_kv_blocks);
      small.run(three_requests());
      expect_as_expected(results, 3);
    }
}

// A warm-up that throws was an exception out of step(); its capture is given up, counted and named instead.
TEST_F(FailingStep, AWarmUpOrACaptureThatThrowsFailsNobody) {
  for (const bool list : {false, true})
    for (const bool before_ready : {false, true})
      for (const int64_t warmups : {0, 1})
        for (how = 0; how < kWays; ++how) {
          SCOPED_TRACE(testing::Message() << list << before_ready << warmups << how);
          EngineConfig config = small_engine_config();
          config.graph = {.graph_opt_level = 1, .use_cudagraph = true};
          if (list) config.graph.cudagraph_capture_sizes = std::vector<int64_t>{1, 4, 8};
          config.graph.cudagraph_num_of_warmups = warmups;
          config.graph.capture_before_ready = before_ready;
          // Tracing and planning launch too: the first launch after them is found by trying.
          int64_t failures = 0;
          for (int64_t due = 0; failures == 0 && due < 40; ++due) {
            launches_left = due;
            std::unique_ptr<Probed> small;
            try {
              small = std::make_unique<Probed>(config);
            } catch (...) {
              continue;  // the start itself: an error to the caller
            }
            if (!before_ready) {
              launches_left = -1;
              small->engine.submit({small_prompt(3), {.max_tokens = 1}});
              launches_left = 1;  // the step's own launch, then the warm-up or the capture
              small->engine.step();
            }
            launches_left = -1;
            const GraphStats stats = small->engine.graph().stats();
            failures = stats.capture_failures;
            if (failures == 0) continue;
            EXPECT_THAT(stats.failure, AllOf(HasSubstr("[capture of a decode step]"), HasSubstr(kSaid[how])));
            small->run(three_requests());
            expect_as_expected(small->results, before_ready ? 0 : 1);
            EXPECT_EQ(small->engine.graph().stats().pending, 0);
            EXPECT_EQ(small->engine.graph().stats().capture_failures, 1) << "the other captures were made";
            const StepCounts& steps = small->results.rbegin()->second.metrics.steps;
            if (!list) {
              EXPECT_GT(steps.not_replayed[static_cast<size_t>(NotReplayed::capture_failed)], 0);
            }
          }
          EXPECT_EQ(failures, 1);
        }
}

// A check that is left half way may leave any tokens behind: the step is computed again.
TEST_F(FailingStep, AVerificationThatThrowsFailsNobody) {
  EngineConfig config = small_engine_config();
  config.graph = {.graph_opt_level = 1, .use_cudagraph = true};
  config.graph.cudagraph_num_of_warmups = 0;
  config.graph.capture_before_ready = true;
  config.graph.verify.sample = 1;
  for (how = 0; how < kWays; ++how) {
    Probed small(config);
    for (Request& request : three_requests()) small.engine.submit(std::move(request));
    while (!small.engine.idle()) {
      small.engine.step();
      launches_left = 0;  // of the next step: replayed, so the check's is the first
    }
    launches_left = -1;
    expect_as_expected(small.results);
    EXPECT_GE(small.engine.verified().failed, 4);
    EXPECT_EQ(small.engine.verified().differing, 0);
    EXPECT_THAT(small.engine.verified().last, AllOf(HasSubstr("[verify]"), HasSubstr(kSaid[how])));
  }
}

// --- a model that gives NaN behind one token

constexpr int32_t kNanToken = 13;
constexpr std::string_view kNanInputs[] = {"x", "ids"};

void nan_rows(const KernelContext& context, int64_t begin, int64_t end) {
  const int64_t columns = small_config().hidden_size;
  for (int64_t row = begin; row < end; ++row) {
    const float* x = context.buffer<float>(0) + row * columns;
    const bool bad = context.buffer<int32_t>(1)[row] == kNanToken;
    for (int64_t i = 0; i < columns; ++i) context.buffer<float>(2)[row * columns + i] = bad ? NAN : x[i];
  }
}
const Kernel kNanRows{"test_nan_rows", nan_rows};

const ops::OpSchema kNanOp{.name = "test_nan_rows",
                           .kind = ops::OpKind::data_movement,
                           .input_names = kNanInputs,
                           .infer = [](const ops::OpCall& call, ops::OutputSpecs& outputs) {
                             outputs.add(call.input(0).dtype, call.input(0).shape);
                           }};
void launch_nan_rows(const ops::OpCall& call, Stream& stream, std::span<const Tensor> outputs,
                     ops::WorkspaceAllocator&) {
  stream.launch(kNanRows, {.items = kTokens, .grain = 1},
                {reads(call.input(0)), reads(call.input(1)), writes(outputs[0])}, NoScalars{});
}

TEST(NotANumber, IsOneRequestsErrorThatNamesThePlace) {
  ops::register_launch(kNanOp, DeviceKind::cpu, {launch_nan_rows});
  register_probe([](const Tensor& x, const models::ForwardInput& input) {
    return ops::dispatch_one(ops::OpCall(kNanOp, {&x, &input.token_ids}));
  });
  const auto good = [](uint32_t salt) {
    Request request{small_prompt(6 + salt, salt),
                    {.temperature = 1, .seed = salt, .max_tokens = 5, .logprobs = 1}};
    std::replace(request.prompt_token_ids.begin(), request.prompt_token_ids.end(), kNanToken, 14);
    request.sampling.logit_bias = {{kNanToken, -100.0f}};
    return request;
  };
  std::vector<Request> bad;
  for (const float temperature : {0.0f, 1.0f})
    for (const bool more : {false, true}) {
      Request request{{1, 2, 3, kNanToken}, {.temperature = temperature, .max_tokens = 4}};
      if (more) {
        request.sampling.repetition_penalty = 1.3f;
        request.sampling.top_k = 4;
        request.sampling.logprobs = 2;
      }
      bad.push_back(request);
    }
  Request scored{{1, kNanToken, 3, 4}, {.temperature = 0, .max_tokens = 3, .prompt_logprobs = 1}};
  Request later{{1, 2}, {.temperature = 0, .max_tokens = 6}};
  later.sampling.logit_bias = {{kNanToken, 100.0f}};  // chosen first, so that the NaN comes with the second
  for (const Isa isa : cpu::available_isas())
    for (const int level : {0, 1})
      for (const bool replay : {false, true}) {
        SCOPED_TRACE(testing::Message() << name_of(isa) << " level " << level << (replay ? " replayed" : ""));
        EngineConfig config = small_engine_config();
        config.graph = {.graph_opt_level = level, .use_cudagraph = replay};
        config.graph.capture_before_ready = true;
        std::vector<Request> requests = {good(0)};
        requests.insert(requests.end(), bad.begin(), bad.end());
        requests.push_back(scored);
        requests.push_back(later);
        requests.push_back(good(1));
        SmallEngine small(config, DType::f32, isa, 1, kProbeFamily);
        Results results = small.run(requests);
        SmallEngine alone(config, DType::f32, isa, 1, kProbeFamily);
        Results expected = alone.run({good(0), good(1)});
        EXPECT_EQ((results[{0, 0}].token_ids), (expected[{0, 0}].token_ids));
        EXPECT_EQ((results[{7, 0}].token_ids), (expected[{1, 0}].token_ids));
        for (RequestId id : {1, 2, 3, 4})
          EXPECT_THAT((results[{id, 0}].error), AllOf(HasSubstr("NaN"), HasSubstr("after token 4"))) << id;
        EXPECT_THAT((results[{5, 0}].error), AllOf(HasSubstr("NaN"), HasSubstr("after token 2")));
        EXPECT_THAT((results[{6, 0}].error), AllOf(HasSubstr("NaN"), HasSubstr("after token 3")));
        EXPECT_EQ((results[{6, 0}].token_ids), (std::vector<int32_t>{kNanToken}))
            << "what came before is kept";
        small.run({good(1)});
        EXPECT_EQ((small.results[{8, 0}].token_ids), (expected[{1, 0}].token_ids));
      }
}

}  // namespace
}  // namespace reprise::engine
