#include "codegen/trial.h"

#include <cpuid.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstring>
#include <memory>

#include "capture/recording.h"
#include "codegen/build_id.h"
#include "core/arena.h"
#include "core/error.h"
#include "core/memory.h"
#include "core/recording_scope.h"
#include "core/thread_team.h"
#include "device/cpu/cpu_device.h"
#include "device/cpu/fixed_walk.h"
#include "device/cpu/team_replay.h"
#include "graph/executor.h"
#include "graph/memory_plan.h"

namespace reprise::codegen {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr size_t kMostBytes = size_t{32} << 20;  // of inputs, intermediates and outputs

// A slice is long beside the clock's resolution and short beside the system's time slices.
constexpr double kSlice = 20;          // us
constexpr double kLong = 500;          // us, of one run
constexpr double kMostRound = 25'000;  // us; steps are smaller where one of 512 tokens would take more
constexpr int64_t kLeastOfLargest = 2 * Trial::kTokens[1];
constexpr int kLeastRounds = 2, kMostRounds = 25;
constexpr Clock::duration kBudgets[] = {2ms, 4ms, 15ms};  // by kTokens, for the rounds beyond the least

// From one worker to another, with fixed shares: measured on a step of 35 launches (docs/speed-appendix.md).
constexpr double kHandOver = 0.15;  // us, of a launch
// More share a launch hardly faster, and would only be more cases that are timed apart.
constexpr int kMostWorkers = cpu::FixedWalk::kMostWorkers;

constexpr size_t kMostColdBytes = size_t{32} << 20;  // of weights that are read in turn
constexpr size_t kMostCopies = 256;
constexpr int64_t kMostColdTokens = Trial::kTokens[1];  // more read weights so often that they are in a cache

StepSizes step_of(int64_t tokens) {
  return {.tokens = tokens, .seqs = tokens, .rows = tokens};
}

bool is_input(const graph::Value& value) {
  return value.kind == graph::ValueKind::input;
}

// Of a packed weight with its padding.
size_t bytes_of(const graph::Value& value, const StepSizes& sizes) {
  if (value.packing.is_packed()) return packed_size(value.packing, value.shape).bytes();
  return static_cast<size_t>(value.shape.elements().eval(sizes)) * size_of(value.dtype);
}

// The nearest power of two, so that models of about the same size share what was found.
size_t cold_bytes_of(const graph::Graph& graph) {
  return std::min(std::bit_ceil(weight_bytes(graph) * 5 / 7), kMostColdBytes);
}
bool reads_weights(const graph::Graph& graph, const graph::FusionGroup& group) {
  return std::ranges::any_of(group.inputs,
                             [&](graph::ValueId id) { return graph.value(id).packing.is_packed(); });
}

StepSizes largest_step(const graph::Graph& graph) {
  StepSizes sizes = step_of(Trial::kTokens[2]);
  for (; sizes.tokens > kLeastOfLargest; sizes = step_of(sizes.tokens / 2)) {
    size_t bytes = graph::plan_memory(graph, sizes, {}).bytes;
    for (const graph::Value& value : graph.values)
      if (is_input(value)) bytes += bytes_of(value, sizes);
    if (bytes <= kMostBytes) break;
  }
  return sizes;
}

// The group and its kernel as replays, with inputs, on a team and in memory of their own. Of weights there are copies, which
// are read in turn: in a model all others are read before the same again.
class Stage : public ops::WorkspaceAllocator {
 public:
  Stage(const graph::Graph& of, Isa level, int workers, GeneratedKernel& kernel, size_t cold_bytes)
      : team_(workers),
        device_(team_, level),
        stream_(device_),
        largest_(largest_step(of)),
        inputs_(BufferKind::input, device_.memory()),
        of_group_(kernel) {
    graph::Graph graph = of;
    size_t input = 0;
    for (graph::Value& value : graph.values) {
      if (!is_input(value)) continue;
      const auto elements = static_cast<int64_t>(bytes_of(value, largest_) / size_of(value.dtype));
      value.tensor = inputs_.allocate(value.dtype, Shape{elements});
      value.tensor.packing = value.packing;
      value.tensor.shape = value.shape;
      of_group_.fill_trial_input(input++, value.tensor, elements);
    }
    graph::MemoryPlan plan =
        graph::plan_memory(graph, largest_, graph::measure_workspaces(graph, largest_, stream_));
    arena_ = MemoryRange(device_.memory(), plan.bytes);
    stream_.set_sizes(largest_);
    const size_t bytes = weight_bytes(graph);
    const size_t copies = bytes == 0 ? 1 : std::clamp<size_t>(cold_bytes / bytes, 1, kMostCopies);
    for (size_t i = 0; i < copies; ++i) {
      if (i > 0) copy_weights(graph);
      Copy& copy = copies_.emplace_back();
      copy.executor = std::make_unique<graph::Executor>(graph, plan, arena_.data(), stream_);
      copy.parts = record([&] { copy.executor->run(); });
      copy.kernel = record([&] { launch_kernel(*copy.executor); });
    }
  }

  const StepSizes& largest() const { return largest_; }
  // Microseconds of one of `runs` runs; `code` null: of the parts.
  double time(KernelFunction code, const StepSizes& step, int64_t runs) {
    of_group_.generated().store(code, std::memory_order_relaxed);
    if (step.tokens > kMostColdTokens) next_ = 0;
    const Clock::time_point begin = Clock::now();
    for (int64_t i = 0; i < runs; ++i) {
      const Copy& copy = copies_[next_];
      (code != nullptr ? *copy.kernel : *copy.parts).run_largest_shares(step, team_.size());
      if (step.tokens <= kMostColdTokens) next_ = (next_ + 1) % copies_.size();
    }
    const double us = std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
    const size_t launches = code != nullptr ? 1 : copies_[0].parts->recording().launches().size();
    return us / static_cast<double>(runs) +
           (team_.size() > 1 ? kHandOver * static_cast<double>(launches) : 0);
  }

 private:
  template <typename Launches>
  std::unique_ptr<cpu::TeamReplay> record(const Launches& launches) {
    capture::Recorder recorder;
    {
      const RecordingScope scope(stream_, recorder);
      launches();
    }
    return std::make_unique<cpu::TeamReplay>(std::move(recorder.recording), largest_, cpu_stream(stream_));
  }
  void copy_weights(graph::Graph& graph) {
    for (graph::Value& value : graph.values) {
      if (!is_input(value) || !value.packing.is_packed()) continue;
      const Tensor from = value.tensor;
      const auto elements = static_cast<int64_t>(bytes_of(value, {}) / size_of(value.dtype));
      value.tensor = inputs_.allocate(value.dtype, Shape{elements});
      value.tensor.packing = from.packing;
      value.tensor.shape = from.shape;
      std::memcpy(value.tensor.data(), from.data(), bytes_of(value, {}));
    }
  }
  void launch_kernel(const graph::Executor& executor) {
    const graph::Graph& graph = executor.graph();
    std::vector<const Tensor*> inputs;
    std::vector<Tensor> outputs;
    for (const graph::Value& value : graph.values)
      if (is_input(value)) inputs.push_back(&value.tensor);
    for (const graph::GraphOutput& output : graph.outputs) outputs.push_back(executor.tensor(output.value));
    of_group_.run(ops::OpCall(of_group_, inputs, {}), stream_, outputs, *this);
  }
  Tensor workspace(DType, const Shape&) override {
    throw InternalError("a kernel takes workspace on one worker");
  }

  ThreadTeam team_;  // of which one works: launches are cut for all
  CpuDevice device_;
  Stream stream_;
  StepSizes largest_;
  HeapStore inputs_;
  MemoryRange arena_;
  GeneratedKernel& of_group_;
  struct Copy {
    std::unique_ptr<graph::Executor> executor;
    std::unique_ptr<cpu::TeamReplay> parts, kernel;
  };
  std::vector<Copy> copies_;
  size_t next_ = 0;
};

// One of those that are timed, in steps of one size.
struct Contender {
  KernelFunction code;  // null: the parts
  double least_us = 0;

  // In a slice, by what is known so far.
  int64_t runs() const {
    return std::clamp<int64_t>(std::llround(kSlice / std::max(0.01, least_us)), 1, 1000);
  }
};

}  // namespace

Trial::Trial(const graph::Graph& graph, const graph::FusionGroup& group, Isa level, int threads)
    : level_(level),
      workers_(std::clamp(threads, 1, kMostWorkers)),
      kernel_(make_kernel(graph, group, level)),
      cold_bytes_(cold_bytes_of(graph)) {
  std::vector<graph::ValueId> here(graph.values.size(), graph::kNone);
  const auto add = [&](graph::ValueId id, graph::Value value) {
    const graph::Value& from = graph.value(id);
    value.dtype = from.dtype;
    value.packing = from.packing;
    value.shape = from.shape;
    here[static_cast<size_t>(id)] = graph::add_value(graph_, std::move(value));
  };
  for (size_t i = 0; i < group.inputs.size(); ++i) {
    add(group.inputs[i], {.kind = graph::ValueKind::input});
    graph::Value& value = graph_.values.back();
    value.shape = kernel_->trial_shape(i, value.shape);
  }
  for (const graph::NodeId id : group.nodes) {
    const graph::Node& from = graph.node(id);
    graph::Node node{.schema = from.schema, .attrs = from.attrs};
    const auto number = static_cast<graph::NodeId>(graph_.nodes.size());
    for (const graph::ValueId input : from.inputs)
      node.inputs.push_back(input == graph::kNone ? graph::kNone : here[static_cast<size_t>(input)]);
    for (size_t i = 0; i < from.outputs.size(); ++i) {
      const graph::ValueId previous = graph.value(from.outputs[i]).previous;
      add(from.outputs[i],
          {.producer = number,
           .output = static_cast<int>(i),
           .previous = previous == graph::kNone ? previous : here[static_cast<size_t>(previous)]});
      node.outputs.push_back(here[static_cast<size_t>(from.outputs[i])]);
    }
    graph_.nodes.push_back(std::move(node));
  }
  for (const graph::ValueId id : group.outputs) {
    const graph::ValueId value = here[static_cast<size_t>(id)];
    graph_.outputs.push_back({graph_.value(value).name, value});
  }
}

std::optional<Verdict> Trial::run(std::span<const Variant> variants, const std::atomic<bool>& stop) const {
  Stage stage(graph_, level_, workers_, *kernel_, cold_bytes_);
  std::vector<Contender> contenders;
  for (const Variant& variant : variants) contenders.push_back({variant.run});
  contenders.push_back({nullptr});
  Verdict verdict;
  for (const Variant& variant : variants) verdict.variants.push_back({variant.name, {}});
  verdict.parts.name = "parts";
  double us_a_token = 0;  // of all contenders
  for (size_t size = 0; size < std::size(kTokens); ++size) {
    StepSizes step = step_of(std::min(kTokens[size], stage.largest().tokens));
    while (step.tokens > kLeastOfLargest && us_a_token * static_cast<double>(step.tokens) > kMostRound)
      step = step_of(step.tokens / 2);
    for (Contender& one : contenders) {
      one.least_us = stage.time(one.code, step, 1);
      // The first one touched memory.
      if (one.least_us < kLong) one.least_us = stage.time(one.code, step, 1);
    }
    const Clock::time_point end = Clock::now() + kBudgets[size];
    for (int round = 0; round < kMostRounds && (round < kLeastRounds || Clock::now() < end); ++round)
      for (Contender& one : contenders) {
        if (stop.load(std::memory_order_relaxed)) return std::nullopt;
        one.least_us = std::min(one.least_us, stage.time(one.code, step, one.runs()));
      }
    us_a_token = 0;
    for (const Contender& one : contenders) us_a_token += one.least_us / static_cast<double>(step.tokens);
    verdict.tokens.push_back(step.tokens);
    for (size_t i = 0; i < contenders.size(); ++i)
      (i < variants.size() ? verdict.variants[i] : verdict.parts)
          .us.push_back(std::max(1.0, std::round(contenders[i].least_us * 1e4)) / 1e4);
  }
  return verdict;
}

std::string timed_on(const graph::Graph& graph, const graph::FusionGroup& group, int threads) {
  static const std::string line = [] {
    std::array<uint32_t, 4> vendor{}, model{};
    __get_cpuid(0, &vendor[0], &vendor[1], &vendor[3], &vendor[2]);
    __get_cpuid(1, &model[0], &model[1], &model[2], &model[3]);
    char name[13] = {};
    std::memcpy(name, &vendor[1], 12);
    const uint32_t family = (model[0] >> 8 & 0xf) + (model[0] >> 20 & 0xff);
    const uint32_t number = (model[0] >> 4 & 0xf) + (model[0] >> 12 & 0xf0);
    return fmt::format("timed on {} {}-{}, L2 {}, beside kernels {}", name, family, number,
                       sysconf(_SC_LEVEL2_CACHE_SIZE), kernels_id());
  }();
  const std::string on = fmt::format("{}, {} workers", line, std::clamp(threads, 1, kMostWorkers));
  return reads_weights(graph, group) ? fmt::format("{}, weights of {}", on, cold_bytes_of(graph)) : on;
}

}  // namespace reprise::codegen
