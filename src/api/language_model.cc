// The public LanguageModel over the parts: config and weights, text model, engine, threads.
#include <algorithm>
#include <chrono>

#include "api/batch_run.h"
#include "api/text_model.h"
#include "core/error.h"
#include "core/profiler.h"
#include "core/thread_team.h"
#include "engine/engine.h"
#include "engine/graph_auto.h"
#include "kernels/cpu/isa_select.h"
#include "models/load_model.h"
#include "models/registry.h"
#include "ops/packed_weight.h"
#include "reprise/reprise.h"
#include "weights/checkpoint.h"
#include "weights/generation_defaults.h"
#include "weights/gguf.h"
#include "weights/model_config.h"

namespace reprise {

struct LanguageModel::Impl {
  LoadOptions options;
  weights::GenerationDefaults defaults;
  api::TextModel text;
  std::unique_ptr<ThreadTeam> team;
  std::unique_ptr<engine::Engine> engine;
  api::BatchRun* run = nullptr;  // the generate() under way, which gets the engine's events
  std::unique_ptr<Profiler> profiler;
  ModelInfo info;
};

namespace {

DType compute_dtype(const std::string& asked, const weights::ModelConfig& config) {
  if (asked == "auto") return config.torch_dtype == "float32" ? DType::f32 : DType::bf16;
  const std::optional<DType> dtype = parse_dtype(asked);
  if (!dtype || (*dtype != DType::f32 && *dtype != DType::bf16))
    throw Error("[--dtype] '{}'; use auto, float32 or bfloat16", asked);
  return *dtype;
}

engine::EngineConfig engine_config(const LoadOptions& options, const weights::ModelConfig& model,
                                   const weights::GenerationDefaults& defaults) {
  constexpr int64_t kDefaultModelLen = 2048;
  engine::EngineConfig config;
  config.max_model_len = options.max_model_len > 0
                             ? options.max_model_len
                             : std::min(kDefaultModelLen, model.max_position_embeddings);
  config.max_num_seqs = options.max_num_seqs;
  if (options.max_num_batched_tokens > 0) config.max_num_batched_tokens = options.max_num_batched_tokens;
  config.enable_chunked_prefill = options.enable_chunked_prefill;
  config.block_size = options.block_size;
  if (options.num_gpu_blocks_override > 0) config.num_gpu_blocks_override = options.num_gpu_blocks_override;
  if (options.kv_cache_memory > 0) config.kv_cache_memory = options.kv_cache_memory;
  config.max_partition_size = engine::choose_max_partition_size(options.max_partition_size);
  config.max_logprobs = options.max_logprobs;
  config.seed = options.seed;
  config.graph = engine::graph_config_of({.graph_optimization_config = options.graph_optimization_config,
                                          .use_cudagraph = options.use_cudagraph,
                                          .graph_verify = options.graph_verify,
                                          .graph_opt = options.graph_opt,
                                          .capture_before_ready = options.capture_before_ready});
  for (const auto* ids : {&model.eos_token_ids, &defaults.eos_token_ids})
    for (const int64_t id : *ids)
      if (id >= 0 && id < model.vocab_size) config.eos_token_ids.push_back(static_cast<int32_t>(id));
  return config;
}

// Throws where the graph settings can't be served for this model; what is only odd comes back as warnings.
std::vector<std::string> check_graph(const engine::EngineConfig& config, const models::Family& family) {
  constexpr bool kHasCompiler = false;
  engine::require_graph_support(config.graph, family.architecture, family.supports_graph_optimization);
  const engine::GraphLimits limits = config.resolved().graph_limits(kHasCompiler);
  std::vector<std::string> warnings;
  for (const engine::GraphConfig& candidate : engine::graph_candidates(config.graph, kHasCompiler))
    warnings = engine::resolve_graph(candidate, limits).warnings;  // the last asks for most
  return warnings;
}

}  // namespace

LanguageModel LanguageModel::load(const LoadOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  auto impl = std::make_unique<Impl>();
  impl->options = options;
  if (options.model.empty()) throw Error("[--model] missing; give a model's folder or a .gguf file");
  const std::filesystem::path path(options.model);
  if (!std::filesystem::exists(path))
    throw Error("[--model] {} does not exist; give a model's folder or a .gguf file", path.string());
  const weights::ModelConfig config = weights::load_model_config(path);
  const models::Family& family = models::find_family(config.architecture);
  const bool gguf = weights::is_gguf_file(path);
  if (!gguf)
    impl->defaults =
        weights::load_generation_defaults(std::filesystem::is_directory(path) ? path : path.parent_path());
  // What can't run is refused before the weights are read.
  engine::EngineConfig engine_options = engine_config(options, config, impl->defaults);
  std::vector<std::string> warnings = check_graph(engine_options, family);
  impl->text = api::TextModel::load(path, options.tokenizer, options.chat_template);
  impl->team = std::make_unique<ThreadTeam>(options.threads);
  const DType dtype = compute_dtype(options.dtype, config);
  const Isa isa = kernels::cpu::choose_isa(dtype, options.isa);

  std::unique_ptr<weights::Checkpoint> checkpoint;
  if (!options.random_weights) checkpoint = weights::Checkpoint::open(path);
  std::unique_ptr<const models::Model> model =
      models::load_model(config, checkpoint.get(), dtype, *impl->team);
  const size_t weight_bytes = model->weight_bytes();
  checkpoint.reset();

  const engine::AutoChoice choice =
      engine::choose_graph_config(*model, *impl->team, isa, engine_options.resolved());
  engine_options.graph = choice.config;
  warnings.insert(warnings.end(), choice.table.begin(), choice.table.end());

  Impl* self = impl.get();
  impl->engine = std::make_unique<engine::Engine>(std::move(model), *impl->team, isa, engine_options,
                                                  [self](const engine::OutputEvent& event) {
                                                    if (self->run != nullptr) self->run->on_event(event);
                                                  });
  warnings.insert(warnings.end(), impl->engine->problems().begin(), impl->engine->problems().end());
  const engine::MemoryReport memory = impl->engine->memory();
  impl->info = {
      .architecture = config.architecture,
      .parameters = models::measure_weights(config, dtype).parameters,
      .weight_bytes = weight_bytes,
      .bytes_read_per_step =
          weight_bytes -
          (config.tie_word_embeddings ? 0 : ops::packed_bytes(dtype, config.vocab_size, config.hidden_size)),
      .kv_bytes = memory.kv_bytes,
      .kv_blocks = memory.num_kv_blocks,
      .arena_bytes = memory.arena_bytes,
      .input_bytes = memory.input_buffer_bytes,
      .dtype = std::string(name_of(dtype)),
      .isa = std::string(name_of(isa)),
      .threads = impl->team->size(),
      .vocab_size = config.vocab_size,
      .max_model_len = impl->engine->config().max_model_len,
      .load_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(),
      .warnings = std::move(warnings)};
  return LanguageModel(std::move(impl));
}

LanguageModel::LanguageModel(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LanguageModel::LanguageModel(LanguageModel&&) noexcept = default;
LanguageModel& LanguageModel::operator=(LanguageModel&&) noexcept = default;
LanguageModel::~LanguageModel() = default;

std::vector<Result> LanguageModel::generate(const std::vector<Prompt>& prompts,
                                            const StreamCallback& on_event) {
  api::BatchRun run(*impl_->engine, impl_->text, prompts, on_event);
  impl_->run = &run;
  struct Reset {
    Impl& impl;
    ~Reset() { impl.run = nullptr; }
  } reset{*impl_};
  return run.run();
}

std::vector<int32_t> LanguageModel::encode(const std::string& text, bool add_special_tokens) const {
  return impl_->text.tokenizer().encode(text, add_special_tokens);
}
std::string LanguageModel::decode(const std::vector<int32_t>& token_ids, bool skip_special_tokens) const {
  return impl_->text.tokenizer().decode(token_ids, skip_special_tokens);
}
bool LanguageModel::has_tokenizer() const {
  return impl_->text.has_tokenizer();
}

std::string LanguageModel::chat_prompt(const std::vector<Message>& messages) const {
  api::ChatRequest chat;
  for (const Message& message : messages)
    chat.messages.push_back({{"role", message.role}, {"content", message.content}});
  return impl_->text.render_chat(chat);
}

Sampling LanguageModel::default_sampling() const {
  Sampling sampling;
  const weights::GenerationDefaults& defaults = impl_->defaults;
  if (defaults.temperature) sampling.temperature = static_cast<float>(*defaults.temperature);
  if (defaults.top_k) sampling.top_k = static_cast<int>(*defaults.top_k);
  if (defaults.top_p) sampling.top_p = static_cast<float>(*defaults.top_p);
  if (defaults.min_p) sampling.min_p = static_cast<float>(*defaults.min_p);
  if (defaults.repetition_penalty)
    sampling.repetition_penalty = static_cast<float>(*defaults.repetition_penalty);
  if (defaults.do_sample && !*defaults.do_sample) sampling.temperature = 0;
  return sampling;
}

ModelInfo LanguageModel::info() const {
  return impl_->info;
}

void LanguageModel::start_trace() {
  impl_->profiler = std::make_unique<Profiler>();
  impl_->engine->set_profiler(impl_->profiler.get());
}
void LanguageModel::stop_trace() {
  impl_->engine->set_profiler(nullptr);
}
void LanguageModel::write_trace(const std::string& path) const {
  if (!impl_->profiler) throw Error("[trace] start_trace() was not called");
  impl_->profiler->write_chrome_trace(path);
}
std::string LanguageModel::trace_summary() const {
  return impl_->profiler ? impl_->profiler->summary() : "";
}
double LanguageModel::trace_overhead_us() const {
  return impl_->profiler ? impl_->profiler->host_us_per_decode_step() : 0;
}

const char* version() {
  return "0.1.0";
}

}  // namespace reprise
