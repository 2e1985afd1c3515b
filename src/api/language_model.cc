// The public LanguageModel over the parts: config and weights, text model, engine, threads.
#include <algorithm>
#include <atomic>
#include <chrono>

#include "api/batch_run.h"
#include "api/chat_fields.h"
#include "api/graph_report.h"
#include "api/model_setup.h"
#include "api/text_model.h"
#include "core/device.h"
#include "core/error.h"
#include "core/profiler.h"
#include "core/thread_team.h"
#include "core/weight_packer.h"
#include "engine/engine.h"
#include "engine/runner/graph_auto.h"
#include "models/load_model.h"
#include "reprise/reprise.h"
#include "weights/checkpoint.h"
#include "weights/generation_defaults.h"

namespace reprise {

struct LanguageModel::Impl {
  LoadOptions options;
  weights::GenerationDefaults defaults;
  api::TextModel text;
  std::unique_ptr<ThreadTeam> team;
  api::OwnedServices services;
  std::unique_ptr<engine::Engine> engine;
  api::BatchRun* run = nullptr;      // the generate() in progress, which gets the engine's events
  engine::RequestId next_id = 0;     // of the next prompt
  std::atomic<bool> running{false};  // generate() is in progress
  std::unique_ptr<Profiler> profiler;
  ModelInfo info;
  class Running;
};

// Marks the model as busy for as long as it lives. Throws Error where it is already.
class LanguageModel::Impl::Running {
 public:
  Running(Impl& impl, const char* what) : impl_(impl) {
    if (impl_.running.exchange(true, std::memory_order_acquire))
      throw Error(
          "[{}] called while generate() is in progress, from a callback or from another thread; wait until "
          "it returns",
          what);
  }
  ~Running() {
    impl_.run = nullptr;
    impl_.running.store(false, std::memory_order_release);
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

 private:
  Impl& impl_;
};

namespace {

std::vector<MemoryUse> memory_lines(const engine::MemoryReport& predicted,
                                    const engine::MemoryReport& actual) {
  std::vector<MemoryUse> lines;
  for (const engine::MemoryCategory& category : engine::memory_categories())
    lines.push_back({std::string(category.name), predicted.*category.bytes, actual.*category.bytes});
  return lines;
}

// The tokens that end an output are the union of what the model's files and its tokenizer name.
void add_end_ids(const api::TextModel& text, int64_t vocab_size, std::vector<int32_t>& ids) {
  if (!text.has_tokenizer()) return;
  for (const int32_t id : text.tokenizer().end_of_turn_ids())
    if (id < vocab_size && std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
}

}  // namespace

LanguageModel LanguageModel::load(const LoadOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  auto impl = std::make_unique<Impl>();
  impl->options = options;
  // What can't run is refused before the weights are read.
  api::ModelSetup setup = api::set_up_model(options);
  const weights::ModelConfig& config = setup.config;
  const DType dtype = setup.dtype;
  impl->defaults = setup.defaults;
  engine::EngineConfig engine_options = setup.engine;
  std::vector<std::string> warnings = std::move(setup.warnings);
  impl->text =
      api::TextModel::load(setup.path, {.tokenizer = options.tokenizer,
                                        .chat_template = options.chat_template,
                                        .control_tokens_in_content = options.chat_control_tokens_in_content});
  add_end_ids(impl->text, config.vocab_size, engine_options.eos_token_ids);
  impl->team = std::make_unique<ThreadTeam>(options.threads);
  impl->services = api::make_services(setup, *impl->team);
  api::require_kernels(setup, impl->services);

  std::unique_ptr<weights::Checkpoint> checkpoint;
  if (!options.random_weights) checkpoint = weights::Checkpoint::open(setup.path);
  std::unique_ptr<const models::Model> model =
      models::load_model(config, checkpoint.get(), dtype, *impl->team, *impl->services.device);
  const size_t weight_bytes = model->weight_bytes();
  checkpoint.reset();

  const engine::AutoChoice choice =
      engine::choose_graph_config(*model, impl->services.services(), engine_options.resolved());
  engine_options.graph = choice.config;
  warnings.insert(warnings.end(), choice.table.begin(), choice.table.end());

  Impl* self = impl.get();
  impl->engine = std::make_unique<engine::Engine>(std::move(model), impl->services.services(), engine_options,
                                                  [self](const engine::OutputEvent& event) {
                                                    if (self->run != nullptr) self->run->on_event(event);
                                                  });
  warnings.insert(warnings.end(), impl->engine->problems().begin(), impl->engine->problems().end());
  if (engine_options.graph.graph_opt_level == 2) {
    impl->services.compiler->ready();
    const auto compile = api::graph_report(*impl->engine, impl->services.compiler.get()).compile;
    warnings.insert(warnings.end(), compile.warnings.begin(), compile.warnings.end());
  }
  const engine::MemoryReport memory = impl->engine->memory();
  impl->info = {
      .architecture = config.architecture,
      .parameters = models::measure_weights(config, dtype, *impl->services.device).parameters,
      .weight_bytes = weight_bytes,
      .bytes_read_per_step =
          weight_bytes - (config.tie_word_embeddings
                              ? 0
                              : packed_size(impl->services.device->weight_packer().packing_of(dtype),
                                            {config.vocab_size, config.hidden_size})
                                    .bytes()),
      .kv_bytes = memory.kv_bytes,
      .kv_blocks = memory.num_kv_blocks,
      .arena_bytes = memory.arena_bytes,
      .input_bytes = memory.input_buffer_bytes,
      .memory = memory_lines(impl->engine->planned_memory(), memory),
      .dtype = std::string(name_of(dtype)),
      .isa = std::string(impl->services.device->level()),
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

void LanguageModel::generate_from(const PromptSource& source, const GenerateOptions& options) {
  if (!source) throw Error("[generate] the source of prompts is empty; pass a function");
  const Impl::Running running(*impl_, "generate()");
  api::BatchRun run(*impl_->engine, impl_->text, impl_->next_id, source, options);
  impl_->run = &run;
  run.run();
}

std::vector<Result> LanguageModel::generate(const std::vector<Prompt>& prompts,
                                            const GenerateOptions& options) {
  constexpr const char* kNotBegun = "[generate] cancelled before this prompt began";
  std::vector<Result> results;
  GenerateOptions collecting = options;
  if (!options.on_result) {
    results.resize(prompts.size());
    for (Result& result : results) result.error = kNotBegun;
    collecting.on_result = [&results](size_t index, const Prompt&, Result&& result) {
      results[index] = std::move(result);
      return true;
    };
  }
  size_t next = 0;
  generate_from(
      [&](Prompt& prompt, bool) {
        if (next == prompts.size()) return PromptFeed::end;
        prompt = prompts[next++];
        return PromptFeed::prompt;
      },
      collecting);
  return results;
}

std::vector<Result> LanguageModel::generate(const std::vector<Prompt>& prompts,
                                            const StreamCallback& on_event) {
  return generate(prompts, GenerateOptions{.on_event = on_event});
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
  return impl_->text.render_chat(api::chat_request_of({.messages = messages})).text;
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

GraphReport LanguageModel::graph_report() const {
  const bool compiles = impl_->engine->config().graph.graph_opt_level == 2;
  GraphReport report = api::graph_report(*impl_->engine, compiles ? impl_->services.compiler.get() : nullptr);
  // What was said when the model was loaded is not said again.
  std::erase_if(report.compile.warnings, [&](const std::string& warning) {
    const std::vector<std::string>& said = impl_->info.warnings;
    return std::find(said.begin(), said.end(), warning) != said.end();
  });
  return report;
}

void LanguageModel::start_trace() {
  const Impl::Running running(*impl_, "start_trace()");
  impl_->profiler = std::make_unique<Profiler>();
  impl_->engine->set_profiler(impl_->profiler.get());
}
void LanguageModel::stop_trace() {
  const Impl::Running running(*impl_, "stop_trace()");
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
