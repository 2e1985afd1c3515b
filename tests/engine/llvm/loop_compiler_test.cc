// Level 2 with machine code from LLVM has level 0's tokens and log-probabilities, bit for bit: in every way to run
// a step, with code that arrives late, and a wrong kernel is found at start by op and layer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <map>
#include <memory>
#include <random>
#include <thread>
#include <tuple>

#include "codegen/kernel_cache.h"
#include "codegen/kernel_file.h"
#include "codegen/loop_compiler.h"
#include "core/arena.h"
#include "core/error.h"
#include "core/fault.h"
#include "device/cpu/isa_select.h"
#include "engine/replay/graph_backend.h"
#include "ops/elementwise.h"
#include "tests/codegen/random_group.h"
#include "tests/codegen/temporary_folder.h"
#include "tests/engine/probe_model.h"
#include "tests/engine/same_results.h"
#include "tests/engine/ways_to_run.h"

namespace reprise::engine {
namespace {

using codegen::LoopCompiler;
using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

const bool compiler_is_named = setenv("REPRISE_COMPILER", REPRISE_REAL_COMPILER, 1) == 0;

// Rows of more than a block of columns, and no multiple of the lanes.
weights::ModelConfig wide_config() {
  weights::ModelConfig config = small_config(kProbeFamily);
  config.hidden_size = 1100;
  return config;
}

// Numbers for each column, no two alike.
Tensor column_weight(float first) {
  static HeapStore store(BufferKind::weight, host_memory());
  Tensor tensor = store.allocate(DType::f32, Shape{wide_config().hidden_size});
  for (int64_t i = 0; i < wide_config().hidden_size; ++i)
    reinterpret_cast<float*>(tensor.data())[i] = first + 0.001f * static_cast<float>(i % 977);
  return tensor;
}

// An op without a body: what stands before it and behind it are different groups.
const ops::OpSchema kCopy = copying_op("test_divides_groups");

void does_nothing(const ops::OpCall&, Stream&) {}

// Activations that no pass knows: a chain of ops of one expression, and one of plain ops that ends in a norm.
void register_model() {
  codegen::register_expression_ops();
  ops::register_launch(kCopy, DeviceKind::cpu, {launch_copy<does_nothing>});
  static const Tensor weight = column_weight(0.5f), bias = column_weight(-0.4f);
  register_probe([](const Tensor& x, const models::ForwardInput&) {
    Tensor y = ops::silu(x);
    y = ops::dispatch_one(ops::OpCall(codegen::kBlend, {&x, &y, &weight, &bias}));
    y = ops::dispatch_one(ops::OpCall(codegen::kSoftcap, {&y}));
    y = ops::dispatch_one(ops::OpCall(kCopy, {&y}));
    // The chain before may stand behind a matmul, this one stands alone.
    y = ops::dispatch_one(ops::OpCall(codegen::kBlend, {&y, &x, &weight, &bias}));
    y = ops::dispatch_one(ops::OpCall(kCopy, {&y}));
    y = ops::mul(ops::silu(y), ops::gelu_tanh(y));
    y = ops::add(ops::mul(y, x), ops::gelu(y));
    y = ops::add(y, ops::dispatch_one(ops::OpCall(codegen::kSquaredRelu, {&y})));
    return ops::add(x, y);
  });
}

// What is compiled is what runs, however it compares with its parts.
graph::CompilerOptions untimed(std::string cache = "off") {
  return {.cache = std::move(cache), .before_ready = true, .trials = false};
}

// One for a level, since starting LLVM takes longer than all that is compiled here.
LoopCompiler& compiler_of(Isa isa) {
  static std::map<Isa, std::unique_ptr<LoopCompiler>> compilers;
  std::unique_ptr<LoopCompiler>& compiler = compilers[isa];
  if (compiler == nullptr) compiler = std::make_unique<LoopCompiler>(isa, untimed());
  return *compiler;
}

struct LoopEngine {
  LoopEngine(const EngineConfig& config, DType dtype, Isa isa, LoopCompiler& with,
             const weights::ModelConfig& model = wide_config())
      : team(2),
        device(team, isa),
        compiler(with),
        engine(models::load_model(model, nullptr, dtype, team, device),
               EngineServices(device, config.graph.graph_opt_level == 2 ? &compiler : nullptr), config,
               [this](const OutputEvent& event) {
                 results[{event.request, event.output}].take(event);
               }) {
    compiler.ready();
  }
  Results& run(std::vector<Request> requests) {
    for (Request& request : requests) engine.submit(std::move(request));
    engine.run();
    return results;
  }

  ThreadTeam team;
  CpuDevice device;
  LoopCompiler& compiler;
  Results results;
  Engine engine;
};

EngineConfig wide_batches(const GraphConfig& graph) {
  return capturing_config(graph, 17);
}

void expect_all_compiled(const graph::CompilerReport& report) {
  EXPECT_GT(report.kernels, 1);
  EXPECT_EQ(report.compiled, report.kernels) << report.failure;
}

bool has_code_levels() {
  return cpu::available_isas().back() != Isa::scalar;
}

class Level2 : public testing::TestWithParam<DType> {};

TEST_P(Level2, HasTheBitsOfLevel0InEveryWayAndBatch) {
  if (!has_code_levels()) GTEST_SKIP() << "no level that code is made for";
  register_model();
  const Isa isa = cpu::choose_isa(GetParam(), "auto");
  std::map<int64_t, Results> expected;
  for (const int64_t batch : {1, 3, 8, 17})
    expected[batch] =
        LoopEngine(wide_batches({}), GetParam(), isa, compiler_of(isa)).run(requests_for(batch));
  for (const Way& way : ways_to_run()) {
    if (way.graph.graph_opt_level != 2) continue;
    for (const auto& [batch, want] : expected) {
      SCOPED_TRACE(fmt::format("{}, batch {}", way.name, batch));
      LoopEngine engine(wide_batches(way.graph), GetParam(), isa, compiler_of(isa));
      expect_all_compiled(engine.compiler.report());
      ASSERT_NO_FATAL_FAILURE(expect_same(want, engine.run(requests_for(batch))));
      EXPECT_EQ(engine.engine.graph().stats().failure, "");
    }
  }
}

TEST_P(Level2, HasTheBitsOfLevel0ChunkedAndPreemptedAtEveryIsaLevel) {
  if (!has_code_levels()) GTEST_SKIP() << "no level that code is made for";
  register_model();
  const std::vector<Request> requests = long_requests_for(12, 70, 20);
  for (const Isa isa : cpu::available_isas()) {
    if (isa == Isa::scalar) continue;
    const Results expected = LoopEngine(wide_batches({}), GetParam(), isa, compiler_of(isa)).run(requests);
    for (const Way& way : ways_to_run()) {
      if (way.graph.graph_opt_level != 2) continue;
      SCOPED_TRACE(fmt::format("{}, {}", name_of(isa), way.name));
      EngineConfig config = wide_batches(way.graph);
      config.max_num_batched_tokens = 32;
      config.num_gpu_blocks_override = 24;
      LoopEngine engine(config, GetParam(), isa, compiler_of(isa));
      expect_all_compiled(engine.compiler.report());
      ASSERT_NO_FATAL_FAILURE(expect_same(expected, engine.run(requests)));
      EXPECT_GT(engine.engine.stats().preemptions, 0);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(DTypes, Level2, testing::Values(DType::f32, DType::bf16),
                         [](const auto& info) { return std::string(name_of(info.param)); });

class Families : public testing::TestWithParam<std::tuple<const char*, DType>> {};

TEST_P(Families, HaveTheBitsOfLevel0InEveryCaptureAndBatch) {
  if (!has_code_levels()) GTEST_SKIP() << "no level that code is made for";
  const auto& [architecture, dtype] = GetParam();
  const weights::ModelConfig model = small_config(architecture);
  const Isa isa = cpu::choose_isa(dtype, "auto");
  // One engine runs all batches, then one of few blocks and small chunks, whose steps mix prompts and decode.
  const auto run = [&](const GraphConfig& graph) {
    LoopEngine all(capturing_config(graph), dtype, isa, compiler_of(isa), model);
    std::vector<Results> results;
    for (const int64_t batch : kBatches) {
      all.results.clear();
      results.push_back(all.run(requests_for(batch)));
    }
    EngineConfig scarce = capturing_config(graph, 17);
    scarce.max_num_batched_tokens = 32;
    scarce.num_gpu_blocks_override = 24;
    LoopEngine chunked(scarce, dtype, isa, compiler_of(isa), model);
    results.push_back(chunked.run(long_requests_for(12, 70, 20)));
    EXPECT_GT(chunked.engine.stats().preemptions, 0);
    for (const LoopEngine* engine : {&all, &chunked}) {
      EXPECT_EQ(engine->engine.graph().stats().failure, "");
      EXPECT_EQ(engine->engine.stats().steps.split > 0, !graph.full_cuda_graph);
      EXPECT_EQ(engine->engine.graph().graphs().groups.empty(), graph.graph_opt_level < 2);
    }
    EXPECT_EQ(all.engine.stats().steps.replayed > 0, graph.use_cudagraph);
    return results;
  };
  const std::vector<Results> expected = run({});
  for (const CaptureCase& one : capture_cases(2)) {
    SCOPED_TRACE(one.name);
    const std::vector<Results> found = run(one.graph);
    for (size_t i = 0; i < found.size(); ++i) {
      SCOPED_TRACE(i < std::size(kBatches) ? fmt::format("batch {}", kBatches[i]) : "chunked and preempted");
      ASSERT_NO_FATAL_FAILURE(expect_same(expected[i], found[i]));
    }
    expect_all_compiled(compiler_of(isa).report());
  }
}

INSTANTIATE_TEST_SUITE_P(Level2, Families,
                         testing::Combine(testing::ValuesIn(kFamilies),
                                          testing::Values(DType::f32, DType::bf16)),
                         [](const auto& info) {
                           return fmt::format("{}_{}", std::get<0>(info.param),
                                              name_of(std::get<1>(info.param)));
                         });

// Kernels are exchanged at random moments, in the middle of launches too, while requests come and go.
TEST(Level2Exchange, IsSeenByNobody) {
  if (!has_code_levels()) GTEST_SKIP() << "no level that code is made for";
  register_model();
  const Isa isa = cpu::choose_isa(DType::bf16, "auto");
  const auto run = [&](const GraphConfig& graph, bool exchange) {
    LoopEngine engine(wide_batches(graph), DType::bf16, isa, compiler_of(isa));
    std::atomic<bool> ending = false;
    int64_t exchanges = 0;
    std::thread other([&] {
      std::mt19937 random(3);
      const auto kernels = static_cast<uint32_t>(engine.compiler.report().kernels);
      while (exchange && !ending.load()) {
        engine.compiler.run_code(random() % kernels, random() % 2 == 0);
        ++exchanges;
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 50));
      }
    });
    std::mt19937 random(7);
    for (int step = 0; step < 2000; ++step) {
      if (random() % 6 == 0) {
        Request request{
            small_prompt(1 + static_cast<int64_t>(random() % 30), static_cast<uint32_t>(random() % 50)),
            {.temperature = static_cast<float>(random() % 2), .seed = random() % 9, .max_tokens = 12}};
        request.sampling.logprobs = 1;
        engine.engine.submit(std::move(request));
      }
      engine.engine.step();
    }
    engine.engine.run();
    ending = true;
    other.join();
    if (exchange) {
      EXPECT_GT(exchanges, 1000);
      expect_all_compiled(engine.compiler.report());
    }
    return engine.results;
  };
  const Results expected = run({}, false);
  GraphConfig graph{.graph_opt_level = 2, .use_cudagraph = true};
  ASSERT_NO_FATAL_FAILURE(expect_same(expected, run(graph, true)));
}

// Timed kernels give the same bits, whichever variant won and whatever stays in parts; while serving as well.
TEST(Level2Trials, AreSeenByNobody) {
  if (!has_code_levels()) GTEST_SKIP() << "no level that code is made for";
  register_model();
  const Isa isa = cpu::choose_isa(DType::bf16, "auto");
  const GraphConfig graph{.graph_opt_level = 2, .use_cudagraph = true};
  // The second time all code is there.
  const auto twice = [](LoopEngine& engine) {
    std::vector<Results> results = {engine.run(requests_for(8))};
    engine.compiler.settle();
    engine.results.clear();
    results.push_back(engine.run(requests_for(8)));
    return results;
  };
  LoopEngine plain(wide_batches({}), DType::bf16, isa, compiler_of(isa));
  const std::vector<Results> expected = twice(plain);
  const codegen::TemporaryFolder folder;
  struct Start {
    const char* cache;
    bool before_ready, is_first, is_settled;
  };
  // A group around a matmul may be taken apart twice, each time into kernels that are timed for the next start.
  for (const Start& start : {Start{"one", false, true, false},
                             {"one", false, false, false},
                             {"one", false, false, false},
                             {"one", false, false, true},
                             {"two", true, true, true}}) {
    LoopCompiler compiler(isa, {.cache = folder.path(start.cache), .before_ready = start.before_ready});
    LoopEngine engine(wide_batches(graph), DType::bf16, isa, compiler);
    const std::vector<Results> found = twice(engine);
    for (size_t i = 0; i < found.size(); ++i) ASSERT_NO_FATAL_FAILURE(expect_same(expected[i], found[i]));
    int64_t slower = 0;
    for (const LoopCompiler::Kernel& kernel : compiler.kernels()) {
      ASSERT_TRUE(kernel.verdict) << kernel.name;
      EXPECT_EQ(kernel.verdict->best().name, kernel.request.options);
      const bool has_few = kernel.name == "paged_attention" || kernel.name == "rotary_kv_write" ||
                           kernel.name.find("matmul") != std::string::npos;
      EXPECT_GE(kernel.verdict->variants.size(), has_few ? 1u : 3u) << kernel.name;
      slower += kernel.verdict->stays_in_parts() ? 1 : 0;
    }
    const graph::CompilerReport report = compiler.report();
    const auto counted = report.not_compiled.find("slower");
    const int64_t in_parts = counted == report.not_compiled.end() ? 0 : counted->second;
    EXPECT_EQ(report.compiled + report.from_cache + in_parts, report.kernels);
    // What is found out while serving is for the next start.
    if (start.is_settled || start.is_first) {
      EXPECT_EQ(in_parts, start.is_settled ? slower : 0);
      EXPECT_EQ(report.trials_ms > 0, start.is_first);
    }
  }
}

// The verdict of every entry of the cache becomes that the parts take `of_kernel` times of the kernel's time.
void set_verdicts(const std::string& directory, double of_kernel) {
  codegen::KernelCache cache({.directory = directory});
  for (const std::string& name : codegen::names_in(directory)) {
    const std::vector<std::byte> bytes = codegen::file_bytes(directory + "/" + name);
    const codegen::KernelFile file = codegen::parse_kernel_file(codegen::KernelFileKind::cache_entry, bytes);
    const codegen::Verdict verdict{.tokens = {1, 16, 512},
                                   .variants = {{"chunks 4", {1, 1, 1}}},
                                   .parts = {"parts", {of_kernel, of_kernel, of_kernel}}};
    ASSERT_TRUE(cache.store(file.pairs[0].key, file.pairs[0].payload, file.about, print(verdict)));
  }
}

TEST(Level2Trials, WhatIsSlowerStaysInParts) {
  if (!has_code_levels()) GTEST_SKIP() << "no level that code is made for";
  register_model();
  const Isa isa = cpu::choose_isa(DType::bf16, "auto");
  const Results expected =
      LoopEngine(wide_batches({}), DType::bf16, isa, compiler_of(isa)).run(requests_for(8));
  const codegen::TemporaryFolder folder;
  const std::string cache = folder.path("cache");
  {
    LoopCompiler compiler(isa, untimed(cache));
    LoopEngine(wide_batches({.graph_opt_level = 2}), DType::bf16, isa, compiler);
  }
  for (const bool slower : {true, false}) {
    // What groups around matmuls are taken apart into is compiled, until nothing is left to take apart.
    for (int taken_apart = 0; slower && taken_apart < 2; ++taken_apart) {
      ASSERT_NO_FATAL_FAILURE(set_verdicts(cache, 0.99));
      LoopCompiler compiler(isa, untimed(cache));
      LoopEngine(wide_batches({.graph_opt_level = 2}), DType::bf16, isa, compiler);
    }
    ASSERT_NO_FATAL_FAILURE(set_verdicts(cache, slower ? 0.99 : 1.2));
    LoopCompiler compiler(isa, untimed(cache));
    LoopEngine engine(wide_batches({.graph_opt_level = 2, .use_cudagraph = true}), DType::bf16, isa,
                      compiler);
    ASSERT_NO_FATAL_FAILURE(expect_same(expected, engine.run(requests_for(8))));
    LoopCompiler looking(isa, {.cache = cache, .makes_code = false});
    LoopEngine seen(wide_batches({.graph_opt_level = 2}), DType::bf16, isa, looking);
    EXPECT_EQ(seen.engine.graph().graphs().groups.front().kernel.empty(), slower);
    const graph::CompilerReport report = compiler.report();
    EXPECT_GT(report.kernels, 1);
    EXPECT_EQ(report.compiled, 0);
    EXPECT_EQ(report.from_cache, slower ? 0 : report.kernels);
    const std::map<std::string, int64_t> all_slower = {{"slower", report.kernels}};
    EXPECT_EQ(report.not_compiled, slower ? all_slower : (std::map<std::string, int64_t>{}));
    EXPECT_EQ(report.failure, "");
    const std::vector<graph::GroupRun>& groups = engine.engine.graph().graphs().groups;
    EXPECT_GT(groups.size(), 1u);
    for (const graph::GroupRun& group : groups) {
      EXPECT_EQ(group.failure, "");
      EXPECT_EQ(group.kernel.empty(), slower);
      EXPECT_EQ(
          (group.in_parts.find(" stays in parts: chunks 4 takes 1.01 of the time of its parts (1.0000 us ") !=
           std::string::npos),
          slower);
    }
  }
}

// Seeded faults of the emitter go to the compiler's process; --graph-verify startup says where. A store that cuts is
// not among them: what an op gives is rounded before it is stored, so it changes nothing here.
TEST(Level2Faults, AreFoundAtStartByOpAndLayer) {
  if (!has_code_levels()) GTEST_SKIP() << "no level that code is made for";
  register_model();
  const auto problems = [](DType dtype, const weights::ModelConfig& model) {
    const Isa isa = cpu::choose_isa(dtype, "auto");
    EngineConfig config = wide_batches({.graph_opt_level = 2, .use_cudagraph = true});
    config.graph.verify.startup = true;
    LoopCompiler compiler(isa, untimed());
    return LoopEngine(config, dtype, isa, compiler, model).engine.problems();
  };
  struct Seed {
    Fault fault;
    int site;
    DType dtype;  // bf16 hides what is as small as the last bit of f32, f32 has no roundings
  };
  EXPECT_THAT(problems(DType::f32, wide_config()), IsEmpty());
  EXPECT_THAT(problems(DType::bf16, wide_config()), IsEmpty());
  for (const Seed& seed : {Seed{Fault::emit_drops_rounding, 0, DType::bf16},
                           {Fault::emit_contracts_product, 0, DType::f32},
                           {Fault::emit_contracts_product, 1, DType::f32},
                           {Fault::emit_exchanges_operands, 0, DType::bf16},
                           {Fault::emit_exchanges_operands, 1, DType::bf16},
                           {Fault::emit_misses_tail, 0, DType::bf16},
                           {Fault::emit_misses_tail, 1, DType::f32},
                           {Fault::emit_reorders_sum, 0, DType::f32},
                           {Fault::emit_reorders_sum, 1, DType::f32},
                           {Fault::emit_keeps_stale_offset, 0, DType::bf16},
                           {Fault::emit_keeps_stale_offset, 1, DType::bf16},
                           {Fault::emit_attention_misses_key, 0, DType::f32},
                           {Fault::emit_attention_misses_key, 1, DType::bf16},
                           {Fault::emit_attention_forgets_scale, 0, DType::f32},
                           {Fault::emit_attention_forgets_scale, 1, DType::f32},
                           {Fault::emit_rotary_exchanges_pair, 0, DType::f32},
                           {Fault::emit_rotary_exchanges_pair, 1, DType::bf16},
                           {Fault::emit_rotary_misses_slot, 0, DType::bf16},
                           {Fault::emit_rotary_misses_slot, 1, DType::f32},
                           {Fault::emit_product_misses_last, 0, DType::f32},
                           {Fault::emit_product_misses_last, 1, DType::f32}}) {
    const FaultScope scope(seed.fault, seed.site);
    // Untimed, products are code where the weights are few.
    const bool few = seed.fault == Fault::emit_product_misses_last;
    EXPECT_THAT(problems(seed.dtype, few ? small_config("LlamaForCausalLM") : wide_config()),
                Contains(AllOf(HasSubstr("first in op '"), HasSubstr("of layer '"))))
        << static_cast<int>(seed.fault) << ", site " << seed.site;
  }
}

}  // namespace
}  // namespace reprise::engine
