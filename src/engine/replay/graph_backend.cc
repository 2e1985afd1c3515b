#include "engine/replay/graph_backend.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "core/capture_error.h"
#include "core/capture_rules.h"
#include "core/error.h"
#include "core/failure.h"
#include "core/fault.h"
#include "core/profiler.h"
#include "engine/step/step_contents.h"
#include "models/registry.h"

namespace reprise::engine {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

GraphBackend::GraphBackend(const models::Model& model, const EngineServices& services, Stream& stream,
                           const EngineConfig& config, const StepLimits& limits, StepInputs& inputs,
                           SampleBuffers& samples, bool dry)
    : model_(model),
      stream_(stream),
      limits_(limits),
      config_(resolve_graph(config.graph, config.graph_limits(services.can()))),
      inputs_(inputs),
      samples_(samples),
      folder_(dry ? graph::EagerFolder(stream, kDry) : graph::EagerFolder(stream)) {
  const std::string& architecture = model.config().architecture;
  require_graph_support(config_.config, architecture,
                        models::find_family(architecture).supports_graph_optimization);
  const int level = config_.config.graph_opt_level;
  if (level == 0 && !config_.config.use_cudagraph) return;
  try {
    fill_step(inputs, samples, limits, model.config().vocab_size, 0);
    graphs_ = build_step_graphs(model, inputs.forward(), samples.tensors(),
                                {.level = level,
                                 .max_model_len = config.max_model_len,
                                 .folder = &folder_,
                                 .compiler = level == 2 ? &compiler_for(services) : nullptr});
    fill_step(inputs, samples, limits, model.config().vocab_size, 1);
    require_same_code(graphs_.traced, trace_step(model, inputs.forward(), samples.tensors()));
  } catch (const CaptureError& error) {
    if (level > 0) throw;
    // At level 0 the model's own code serves all the same.
    stats_.failure = error.what();
    stats_.capture_failures = 1;
    decode_captures_.states.assign(config_.decode.sizes.size(), CaptureState::failed);
    prefill_captures_.states.assign(config_.prefill.sizes.size(), CaptureState::failed);
    return;
  }
  const StepSizes small = class_of({.tokens = 1}, limits);
  const StepSizes large = class_of({.tokens = limits.tokens}, limits);
  if (level > 0 || !config_.decode.sizes.empty()) decode_ = lay_out(graphs_.step, small);
  if (level > 0 || !config_.prefill.sizes.empty()) general_ = lay_out(graphs_.step, large);
  if (level > 0) scores_ = lay_out(graphs_.scores, large);
  for (const std::optional<Program>* program : {&decode_, &general_, &scores_})
    if (program->has_value()) arena_bytes_ = std::max(arena_bytes_, (*program)->plan.bytes);
  arena_bytes_ = (arena_bytes_ + 4095) / 4096 * 4096;  // what lies behind it begins a page
  plan_captures(config_.decode, false, decode_captures_);
  plan_captures(config_.prefill, true, prefill_captures_);
}

GraphBackend::~GraphBackend() = default;

GraphBackend::Program GraphBackend::lay_out(const graph::Graph& graph, StepSizes largest) const {
  Program program{.graph = graph, .plan = {}, .executor = nullptr};
  program.plan = graph::plan_memory(graph, largest, graph::measure_workspaces(graph, largest, stream_));
  const std::vector<std::string> problems = graph::problems_of(program.plan, graph);
  REPRISE_CHECK(problems.empty(), "the memory plan of '{}' is wrong: {}", graph.name,
                problems.empty() ? "" : problems.front());
  return program;
}

// Of the steps that a capture of `size` tokens serves.
StepSizes GraphBackend::largest_of(int64_t size, bool prefill) const {
  return {.tokens = size, .seqs = prefill ? limits_.seqs : size, .rows = prefill ? limits_.rows : size};
}

void GraphBackend::plan_captures(const SizeList& sizes, bool prefill, Captures& captures) {
  captures.split = prefill && config_.split_at_attention();
  captures.states.assign(sizes.sizes.size(), CaptureState::pending);
  for (const int64_t size : sizes.sizes) {
    Capture capture{.size = size,
                    .warmups_left = config_.config.cudagraph_num_of_warmups,
                    .program = prefill ? &*general_ : &*decode_,
                    .own = nullptr,
                    .own_arena = {},
                    .step = nullptr,
                    .binding = std::nullopt,
                    .difference = {}};
    if (!config_.config.use_unique_memory_pool) {
      capture.own = std::make_unique<Program>(lay_out(graphs_.step, largest_of(size, prefill)));
      capture.program = capture.own.get();
      private_bytes_ += capture.own->plan.bytes;
    }
    graph_object_bytes_ += dry_capture_bytes(*capture.program, captures.split);
    captures.list.push_back(std::move(capture));
    ++stats_.pending;
  }
}

// The same recording without memory: what it will hold is known before anything is allocated.
size_t GraphBackend::dry_capture_bytes(const Program& program, bool split) {
  const MemoryRange untouched(host_memory(), program.plan.bytes);  // addresses, of which no page is ever used
  graph::Executor executor(program.graph, program.plan, untouched.data(), stream_);
  return CapturedStep(executor, stream_, program.plan.largest, split).bytes();
}

void GraphBackend::start(std::byte* arena) {
  arena_ = arena;
  const std::vector<graph::NamedTensor> bound = named_inputs(inputs_.forward(), samples_.tensors());
  const auto build = [&](Program& program, std::byte* memory) {
    rebind(program.graph, bound);
    program.executor =
        std::make_unique<graph::Executor>(std::move(program.graph), program.plan, memory, stream_);
  };
  for (std::optional<Program>* program : {&decode_, &general_, &scores_})
    if (program->has_value()) build(**program, arena);
  for (Captures* captures : {&decode_captures_, &prefill_captures_})
    for (Capture& capture : captures->list) {
      if (capture.own == nullptr) continue;
      capture.own_arena = MemoryRange(stream_.device().memory(), capture.own->plan.bytes);
      build(*capture.own, capture.own_arena.data());
    }
}

StepPath GraphBackend::choose(const StepShape& step) const {
  return choose_path(config_, {.decode = decode_captures_.states, .prefill = prefill_captures_.states}, step);
}

// Rows between the real sizes and the padded ones, in every input that a replay reads.
void GraphBackend::pad(const StepSizes& real, const StepSizes& padded) {
  inputs_.pad(padded);
  for (int64_t row = real.rows; row < padded.rows; ++row) samples_.plan_skip(row);
}

void GraphBackend::upload(const StepSizes& sizes) const {
  inputs_.upload(sizes);
  samples_.upload(sizes.rows);
}

GraphBackend::Captures& GraphBackend::captures_of(const StepShape& shape) {
  return shape.prefill_tokens == 0 ? decode_captures_ : prefill_captures_;
}

CapturedStep* GraphBackend::captured(const StepPath& path, const StepShape& shape) {
  return path.replayed() ? captures_of(shape).list[path.recording].step.get() : nullptr;
}

graph::Executor& GraphBackend::executor(const StepPath& path, const StepShape& shape) {
  if (path.replayed()) return *captures_of(shape).list[path.recording].program->executor;
  std::optional<Program>& program = is_small(shape.tokens(), limits_) ? decode_ : general_;
  REPRISE_CHECK(program.has_value() && program->executor != nullptr, "a step without a graph");
  return *program->executor;
}

const Tensor& GraphBackend::logits(const StepPath& path, const StepShape& shape) {
  return executor(path, shape).output("logits");
}

std::span<std::byte> GraphBackend::arena_of(const StepPath& path, const StepShape& shape) {
  if (path.replayed()) {
    const MemoryRange& own = captures_of(shape).list[path.recording].own_arena;
    if (own.data() != nullptr) return {own.data(), own.bytes()};
  }
  return {arena_, arena_bytes_};
}

const std::string& GraphBackend::difference_of(bool prefill, size_t index) const {
  return (prefill ? prefill_captures_ : decode_captures_).list[index].difference;
}

StepSizes GraphBackend::prepare(const StepPath& path, const StepShape& shape) {
  const StepSizes real = inputs_.sizes();
  REPRISE_CHECK(real.tokens <= path.captured_size, "a step of {} tokens is replayed as one of {}",
                real.tokens, path.captured_size);
  StepSizes padded = real;
  padded.tokens = path.captured_size;
  if (shape.prefill_tokens == 0) padded.seqs = padded.rows = path.captured_size;
  pad(real, padded);
  upload(padded);
  return padded;
}

void GraphBackend::run(const StepPath& path, const StepShape& shape, Profiler* profiler) {
  if (path.replayed()) {
    const Captures& captures = captures_of(shape);
    if (path.recording >= captures.list.size() || captures.list[path.recording].step == nullptr)
      throw Error("[graph] a step is to be replayed by recording {}, which was not made in this process",
                  path.recording);
    const Capture& capture = captures.list[path.recording];
    const StepSizes padded = prepare(path, shape);
    collect_inputs(inputs_.forward(), samples_.tensors(), bound_);
    capture.binding->check(padded, bound_);
    capture.step->run(padded, inputs_.sizes(), profiler);
  } else {
    upload(inputs_.sizes());
    stream_.set_sizes(inputs_.sizes());
    executor(path, shape).run();
  }
}

void GraphBackend::give_up(bool prefill, size_t index, const std::string& why) {
  (prefill ? prefill_captures_ : decode_captures_).states[index] = CaptureState::failed;
  ++stats_.capture_failures;
  stats_.failure = why;
}

bool GraphBackend::is_captured(bool prefill, size_t index) const {
  const CaptureState state = (prefill ? prefill_captures_ : decode_captures_).states[index];
  return state == CaptureState::captured || state == CaptureState::in_parts;
}

models::ForwardOutput GraphBackend::run_scores() {
  stream_.set_sizes(inputs_.sizes());
  scores_->executor->run();
  return {.hidden = scores_->executor->output("hidden"), .logits = scores_->executor->output("logits")};
}

const graph::Value& GraphBackend::hidden_type() const {
  for (const graph::GraphOutput& output : graphs_.scores.outputs)
    if (output.name == "hidden") return graphs_.scores.value(output.value);
  REPRISE_CHECK(false, "the graph of scores has no hidden states");
  return graphs_.scores.values.front();
}

// Like a step of the largest size whose rows all are padding: nothing but the null block is touched.
void GraphBackend::warm_up(Capture& capture, bool prefill) {
  const auto start = std::chrono::steady_clock::now();
  const int64_t seqs = prefill ? 1 : capture.size;
  const StepSizes sizes{.tokens = capture.size, .seqs = seqs, .rows = seqs};
  inputs_.clear();
  pad({}, sizes);
  upload(sizes);
  stream_.set_sizes(sizes);
  capture.program->executor->run();
  --capture.warmups_left;
  stats_.warmup_s += seconds_since(start);
}

void GraphBackend::capture(Captures& captures, size_t index) {
  const auto start = std::chrono::steady_clock::now();
  Capture& capture = captures.list[index];
  const auto fill = [&](int content) {
    fill_step(inputs_, samples_, limits_, model_.config().vocab_size, content);
  };
  fill(0);
  capture.step = std::make_unique<CapturedStep>(*capture.program->executor, stream_,
                                                capture.program->plan.largest, captures.split);
  const auto compare = std::chrono::steady_clock::now();
  fill(1);
  capture.difference = capture.step->difference_now();
  stats_.compare_s += seconds_since(compare);
  stats_.capture_s += seconds_since(start);
  if (!capture.difference.empty()) throw Error(capture.difference);
  capture.binding.emplace(bind(captures, index));
  // Splits at attention are what split mode is; one that nobody asked for is news.
  const bool broken = std::any_of(capture.step->splits().begin(), capture.step->splits().end(),
                                  [](const Split& split) { return !split.asked_for; });
  captures.states[index] = broken ? CaptureState::in_parts : CaptureState::captured;
  ++stats_.captures;
  if (&captures == &decode_captures_ || decode_captures_.list.empty())
    stats_.launches = static_cast<int64_t>(capture.step->launches());
  --stats_.pending;
}

// Called while the exception is handled. The steps that the capture would have served run as before.
void GraphBackend::fail_capture(Captures& captures, size_t index) noexcept {
  Capture& capture = captures.list[index];
  capture.binding.reset();
  capture.step.reset();
  captures.states[index] = CaptureState::failed;
  ++stats_.capture_failures;
  --stats_.pending;
  stats_.failure = current_failure(&captures == &prefill_captures_ ? "capture of a prefill step"
                                                                   : "capture of a decode step");
}

capture::Binding GraphBackend::bind(const Captures& captures, size_t index) const {
  const bool prefill = &captures == &prefill_captures_;
  int64_t size = captures.list[index].size;
  if (fault_is_on(Fault::capture_serves_one_token_less)) --size;
  const bool any_size = (prefill ? config_.prefill : config_.decode).any_size;
  const StepSizes largest = largest_of(size, prefill);
  capture::ReplayKey key{.smallest = largest, .largest = largest};
  if (any_size || prefill) key.smallest.seqs = key.smallest.rows = 1;
  if (any_size) key.smallest.tokens = 1;
  std::vector<capture::NamedInput> inputs;
  for (graph::NamedTensor& input : named_inputs(inputs_.forward(), samples_.tensors()))
    inputs.push_back({std::move(input.name), std::move(input.tensor)});
  std::vector<const capture::Recording*> parts;
  for (const auto& replay : captures.list[index].step->replays()) parts.push_back(&replay->recording());
  return {key, inputs, parts};
}

// The largest first: it serves every batch, if with more padding. Whatever a warm-up or a capture throws ends
// that capture alone: it is counted and named in stats().
bool GraphBackend::capture_next(Captures& captures) {
  for (size_t i = captures.list.size(); i-- > 0;) {
    if (captures.states[i] != CaptureState::pending) continue;
    try {
      if (captures.list[i].warmups_left > 0)
        warm_up(captures.list[i], &captures == &prefill_captures_);
      else
        capture(captures, i);
    } catch (...) {
      fail_capture(captures, i);
    }
    inputs_.clear();
    return true;
  }
  return false;
}

bool GraphBackend::capture_next() {
  return stats_.pending > 0 && (capture_next(decode_captures_) || capture_next(prefill_captures_));
}

size_t GraphBackend::held_object_bytes() const {
  size_t sum = 0;
  for (const Captures* captures : {&decode_captures_, &prefill_captures_})
    for (const Capture& capture : captures->list)
      if (capture.step != nullptr) sum += capture.step->bytes();
  return sum;
}

size_t GraphBackend::held_private_bytes() const {
  size_t sum = 0;
  for (const Captures* captures : {&decode_captures_, &prefill_captures_})
    for (const Capture& capture : captures->list) sum += capture.own_arena.bytes();
  return sum;
}

void GraphBackend::touch_private() {
  for (Captures* captures : {&decode_captures_, &prefill_captures_})
    for (Capture& capture : captures->list) capture.own_arena.touch();
}

std::vector<Split> GraphBackend::splits() const {
  for (const Captures* captures : {&decode_captures_, &prefill_captures_})
    for (const Capture& capture : captures->list)
      if (capture.step != nullptr && !capture.step->splits().empty()) return capture.step->splits();
  return {};
}

}  // namespace reprise::engine
