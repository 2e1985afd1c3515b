#include "engine/runner/runner.h"

#include <algorithm>

#include "core/capture_error.h"
#include "core/failure.h"
#include "core/recording_scope.h"
#include "engine/step/phase.h"
#include "ops/launch_table.h"
#include "ops/op.h"

namespace reprise::engine {
namespace {

// Asks a model's ops for memory without running one, as graph::measure_workspaces() does. Code that looks at
// a value sees zeros, and an op that breaks a rule of captures is asked no further: what they take then, only
// a run can tell; the spare half of the arena is for them.
class MeasuringDispatcher final : public ops::Dispatcher, private ops::WorkspaceAllocator {
 public:
  MeasuringDispatcher(Stream& stream, StepArena& arena) : stream_(stream), arena_(arena) {}

  ops::Outputs dispatch(const ops::OpCall& call) override {
    ops::OutputSpecs specs;
    call.schema.infer(call, specs);
    ops::Outputs outputs;
    for (; outputs.count < specs.count; ++outputs.count) {
      const ops::OutputSpec& spec = specs.specs[static_cast<size_t>(outputs.count)];
      outputs.tensors[static_cast<size_t>(outputs.count)] = arena_.allocate(spec.dtype, spec.shape);
    }
    const ops::OpLaunch& launch = ops::launch_of(call.schema, stream_.device().kind());
    if (launch.plan_workspace != nullptr) {
      launch.plan_workspace(call, *this);
      return outputs;
    }
    if (!call.schema.capturable) return outputs;
    const OpScope scope(call.schema.name);
    try {
      launch.launch(call, stream_, {outputs.tensors.data(), static_cast<size_t>(outputs.count)}, *this);
    } catch (const CaptureError&) {
    }
    return outputs;
  }
  const std::byte* read(const Tensor& tensor) override {
    zeros_.resize(std::max(zeros_.size(), static_cast<size_t>(tensor.extent().eval(stream_.sizes()))));
    return zeros_.data();
  }

 private:
  Tensor workspace(DType dtype, const Shape& shape) override { return arena_.allocate(dtype, shape); }

  Stream& stream_;
  StepArena& arena_;
  std::vector<std::byte> zeros_;
};

// The arena is address space: pages that no step touches cost nothing. Twice the peak keeps the free range at
// its end larger than any hole, as it is in the dry run, so that both lay out alike.
size_t arena_capacity(size_t peak) {
  return 2 * peak + (size_t{1} << 20);
}

Tensor score_rows(HeapStore& store, int64_t rows) {
  Tensor tensor = store.allocate(DType::i32, Shape{rows});
  tensor.shape = Shape{kRows};
  return tensor;
}

}  // namespace

// What runs launch by launch: at level 0 (and for checks) whole steps, else only the scoring of prompt
// tokens.
void Runner::lay_out_eagerly(StepArena& arena) {
  HeapStore nowhere(BufferKind::arena, kDry);
  Tensor hidden;
  if (!eager_steps_) {
    hidden = nowhere.allocate(backend_.hidden_type().dtype, {1});
    hidden.shape = backend_.hidden_type().shape;
  }
  DiscardingSink sink;
  const RecordingScope recording(stream_, sink);
  MeasuringDispatcher dispatcher(stream_, arena);
  const ops::DispatchScope scope(dispatcher);
  for (const int64_t tokens : {limits_.rows, limits_.tokens}) {
    const StepSizes sizes = class_of({.tokens = tokens}, limits_);
    arena.set_sizing(sizes);
    stream_.set_sizes(sizes);
    models::ForwardOutput output;
    if (eager_steps_) output = model_.forward(inputs_.forward());
    ops::sample(model_.logits(eager_steps_ ? output.hidden : hidden, score_rows_), samples_.tensors());
    if (eager_steps_) ops::sample(output.logits, samples_.tensors());
  }
}

size_t Runner::eager_peak() {
  StepArena dry(kDry);
  lay_out_eagerly(dry);
  return dry.peak();
}

Runner::Runner(const models::Model& model, const EngineServices& services, const EngineConfig& config,
               size_t memory, bool dry)
    : model_(model),
      limits_(step_limits(config)),
      level_(config.graph.graph_opt_level),
      eager_steps_(level_ == 0 || config.graph.verify != GraphVerify{}),
      verify_sample_(config.graph.verify.sample),
      stream_(services.device),
      block_bytes_(kv_block_bytes(model.config(), model.dtype(), config.block_size)),
      score_store_(BufferKind::input, services.device.memory()),
      score_rows_(score_rows(score_store_, limits_.rows)),
      host_score_rows_(services.device.memory(), score_rows_,
                       static_cast<size_t>(limits_.rows) * sizeof(int32_t)),
      samples_(services.device.memory(), limits_.rows, logprob_columns(config, model.config().vocab_size),
               model.config().vocab_size),
      cache_(services.device.memory(), model.config(), model.dtype(), config),
      inputs_(services.device.memory(), limits_, cache_.view()),
      backend_(model, services, stream_, config, limits_, inputs_, samples_, dry),
      eager_peak_(eager_peak()),
      // At level 0 captured steps and the model's own code never run at once and share the memory. Above,
      // hidden states lie in the graph's arena while their prompt is scored beside it.
      arena_(services.device.memory(), dry ? 0
                                       : level_ == 0
                                           ? std::max(arena_capacity(eager_peak_), backend_.arena_bytes())
                                           : backend_.arena_bytes() + arena_capacity(eager_peak_)),
      eager_arena_(dry ? nullptr : arena_.data() + (level_ == 0 ? 0 : backend_.arena_bytes()),
                   arena_capacity(eager_peak_)) {
  planned_ = {.weights_bytes = model.weight_bytes() + backend_.constant_bytes(),
              .workspace_bytes = stream_.on_device().workspace_bytes(),
              .input_buffer_bytes = score_store_.bytes() + samples_.bytes() + inputs_.bytes(),
              .arena_bytes = level_ == 0 ? std::max(eager_peak_, backend_.arena_bytes())
                                         : backend_.arena_bytes() + eager_peak_,
              .graph_object_bytes = backend_.graph_object_bytes(),
              .kv_block_bytes = block_bytes_,
              .num_kv_blocks = 0,
              .kv_bytes = 0,
              .prefix_cache_bytes = 0};
  planned_.arena_bytes += backend_.private_bytes();
  const auto history_of_block = static_cast<size_t>(config.block_size) * SampleBuffers::kHistoryBytes;
  const size_t tokens_of_block =
      config.enable_prefix_caching ? PrefixCache::bytes_per_block(config.block_size) : 0;
  planned_.num_kv_blocks =
      choose_kv_blocks(config, block_bytes_, history_of_block + tokens_of_block, memory, planned_.total());
  cache_.allocate(planned_.num_kv_blocks, dry);
  samples_.allocate_history(planned_.num_kv_blocks * config.block_size, dry);
  planned_.input_buffer_bytes = score_store_.bytes() + samples_.bytes() + inputs_.bytes();
  planned_.kv_bytes = cache_.bytes();
  planned_.prefix_cache_bytes = static_cast<size_t>(planned_.num_kv_blocks) * tokens_of_block;
  if (!dry) backend_.start(arena_.data());
}

void Runner::set_profiler(Profiler* profiler) {
  profiler_ = profiler;
  stream_.set_profiler(profiler);
}

void Runner::run(const StepPlan& step) {
  stream_.drop_status();
  scores_.clear();
  inputs_.fill(step);
  if (step.shape.scores_prompt) {
    run_scoring(step);
  } else {
    samples_.fill(step);
    forward_and_sample(step.path, step.shape);
    if (verify_sample_ > 0 && ++steps_ % verify_sample_ == 0) verify(step.path, step.shape);
    publish(inputs_.sizes().rows);
  }
}

// The results of the launches so far become the host's.
void Runner::publish(int64_t rows) {
  stream_.check_status();
  samples_.download(rows);
}

void Runner::forward_and_sample(const StepPath& path, const StepShape& shape) {
  const PhaseScope phase(profiler_, "forward");
  if (path.mode != RunMode::eager) {
    backend_.run(path, shape, profiler_);
    return;
  }
  ops::EagerDispatcher dispatcher(stream_, eager_arena_);
  const ops::DispatchScope scope(dispatcher);
  set_eager_sizes();
  samples_.upload(inputs_.sizes().rows);
  ops::sample(model_.forward(inputs_.forward()).logits, samples_.tensors());
}

void Runner::run_scoring(const StepPlan& step) {
  ops::EagerDispatcher dispatcher(stream_, eager_arena_);
  const ops::DispatchScope scope(dispatcher);
  models::ForwardOutput output;
  {
    const PhaseScope phase(profiler_, "forward");
    set_eager_sizes();
    output = step.path.mode == RunMode::eager ? model_.forward(inputs_.forward()) : backend_.run_scores();
  }
  const PhaseScope phase(profiler_, "sample");
  score_prompts(step, output.hidden);
  stream_.set_sizes(inputs_.sizes());
  samples_.fill(step);
  samples_.upload(inputs_.sizes().rows);
  ops::sample(output.logits, samples_.tensors());
  publish(inputs_.sizes().rows);
}

// As many rows of hidden states at a time as there are rows.
void Runner::score_prompts(const StepPlan& step, const Tensor& hidden) {
  const std::span<const StepPlan::Score> all = step.scores;
  for (size_t begin = 0; begin < all.size();) {
    const auto chunk = all.subspan(begin, std::min(static_cast<size_t>(limits_.rows), all.size() - begin));
    const auto rows = static_cast<int64_t>(chunk.size());
    for (int64_t i = 0; i < rows; ++i) {
      const StepPlan::Score& score = chunk[static_cast<size_t>(i)];
      host_score_rows_.as<int32_t>()[i] = score.hidden_row;
      samples_.plan_score(i, score.token, score.top);
    }
    host_score_rows_.upload(0, chunk.size() * sizeof(int32_t));
    samples_.upload(rows);
    StepSizes sizes = inputs_.sizes();
    sizes.rows = rows;
    stream_.set_sizes(sizes);
    ops::sample(model_.logits(hidden, score_rows_), samples_.tensors());
    publish(rows);
    for (int64_t i = 0; i < rows; ++i) scores_.push_back(samples_.score(i));
    begin += chunk.size();
  }
}

void Runner::set_eager_sizes() {
  inputs_.upload(inputs_.sizes());
  eager_arena_.set_sizing(class_of(inputs_.sizes(), limits_));
  stream_.set_sizes(inputs_.sizes());
}

StepVerifier Runner::verifier() {
  return StepVerifier({.model = model_,
                       .stream = stream_,
                       .limits = limits_,
                       .inputs = inputs_,
                       .samples = samples_,
                       .cache = cache_,
                       .kv_blocks = planned_.num_kv_blocks,
                       .backend = backend_,
                       .eager_arena = eager_arena_});
}

std::vector<std::string> Runner::verify_captures() {
  return verifier().check_captures();
}

void Runner::verify(const StepPath& path, const StepShape& shape) {
  if (path.mode == RunMode::eager) return;
  ++verified_.checked;
  try {
    if (std::optional<std::string> problem = verifier().check_step(path, shape)) {
      ++verified_.differing;
      verified_.last = std::move(*problem);
    }
    return;
  } catch (...) {
    ++verified_.failed;
    verified_.last = current_failure("verify");
  }
  // The check was left half way, so the keys, values and choices of this step may be anything: again by the
  // model's own code. Where that throws too, the step fails.
  forward_and_sample({.mode = RunMode::eager, .reason = NotReplayed::cudagraph_off}, shape);
}

void Runner::run_idle(int64_t batch) {
  const int32_t token = 0;
  StepPlan& step = idle_;
  step.clear();
  for (int64_t row = 0; row < batch; ++row) {
    const auto block = static_cast<BlockId>(1 + row % planned_.num_kv_blocks);
    step.add_sequence({&token, 1}, 0, 1, {&block, 1});
    step.add_row({});
  }
  step.shape.decode_tokens = batch;
  step.path = backend_.choose(step.shape);
  run(step);
}

MemoryReport Runner::memory() const {
  // Of the arena, what runs launch by launch may use more than the dry run found: then it shows here.
  const size_t eager = std::max(eager_peak_, eager_arena_.peak()), graphs = backend_.arena_bytes();
  return {
      .weights_bytes = model_.weight_bytes() + backend_.constant_bytes(),
      .workspace_bytes = stream_.on_device().workspace_bytes(),
      .input_buffer_bytes = score_store_.bytes() + samples_.bytes() + inputs_.bytes(),
      .arena_bytes = (level_ == 0 ? std::max(eager, graphs) : graphs + eager) + backend_.held_private_bytes(),
      .graph_object_bytes = backend_.held_object_bytes(),
      .kv_block_bytes = block_bytes_,
      .num_kv_blocks = planned_.num_kv_blocks,
      .kv_bytes = cache_.bytes(),
      .prefix_cache_bytes = planned_.prefix_cache_bytes};
}

void Runner::discard() noexcept {
  cache_.discard();
  arena_.discard();
}

MemoryReport Runner::touch() {
  eager_arena_.reset_peak();
  lay_out_eagerly(eager_arena_);
  const MemoryReport held = memory();
  const size_t shared = held.arena_bytes - backend_.held_private_bytes();
  if (shared > 0) stream_.device().memory().touch(arena_.data(), shared);
  backend_.touch_private();
  stream_.on_device().touch_workspace();
  score_store_.touch();
  samples_.touch();
  inputs_.touch();
  cache_.touch();
  return held;
}

}  // namespace reprise::engine
