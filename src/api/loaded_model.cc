#include "api/loaded_model.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "api/fingerprint.h"
#include "api/graph_report.h"
#include "core/device.h"
#include "core/weight_packer.h"
#include "engine/runner/graph_auto.h"
#include "models/load_model.h"
#include "weights/checkpoint.h"

namespace reprise::api {
namespace {

std::vector<MemoryUse> memory_lines(const engine::MemoryReport& predicted,
                                    const engine::MemoryReport& actual) {
  std::vector<MemoryUse> lines;
  for (const engine::MemoryCategory& category : engine::memory_categories())
    lines.push_back({std::string(category.name), predicted.*category.bytes, actual.*category.bytes});
  return lines;
}

// The tokens that end an output are the union of what the model's files and its tokenizer name.
void add_end_ids(const TextModel& text, int64_t vocab_size, std::vector<int32_t>& ids) {
  if (!text.has_tokenizer()) return;
  for (const int32_t id : text.tokenizer().end_of_turn_ids())
    if (id < vocab_size && std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
}

}  // namespace

LoadedModel load_parts(const LoadOptions& options, engine::EventSink sink) {
  const auto start = std::chrono::steady_clock::now();
  LoadedModel loaded;
  // What can't run is refused before the weights are read.
  ModelSetup setup = set_up_model(options);
  const weights::ModelConfig& config = setup.config;
  const DType dtype = setup.dtype;
  loaded.defaults = setup.defaults;
  engine::EngineConfig engine_options = setup.engine;
  std::vector<std::string> warnings = std::move(setup.warnings);
  loaded.text =
      TextModel::load(setup.path, {.tokenizer = options.tokenizer,
                                   .chat_template = options.chat_template,
                                   .control_tokens_in_content = options.chat_control_tokens_in_content});
  add_end_ids(loaded.text, config.vocab_size, engine_options.eos_token_ids);
  loaded.team = std::make_unique<ThreadTeam>(options.threads);
  loaded.services = make_services(setup, *loaded.team);
  require_kernels(setup, loaded.services);

  std::unique_ptr<weights::Checkpoint> checkpoint;
  if (!options.random_weights) checkpoint = weights::Checkpoint::open(setup.path);
  std::unique_ptr<const models::Model> model =
      models::load_model(config, checkpoint.get(), dtype, *loaded.team, *loaded.services.device);
  const size_t weight_bytes = model->weight_bytes();
  checkpoint.reset();

  const engine::AutoChoice choice =
      engine::choose_graph_config(*model, loaded.services.services(), engine_options.resolved());
  engine_options.graph = choice.config;
  warnings.insert(warnings.end(), choice.table.begin(), choice.table.end());

  loaded.engine = std::make_unique<engine::Engine>(std::move(model), loaded.services.services(),
                                                   engine_options, std::move(sink));
  warnings.insert(warnings.end(), loaded.engine->problems().begin(), loaded.engine->problems().end());
  if (engine_options.graph.graph_opt_level == 2) {
    loaded.services.compiler->ready();
    const auto compile = graph_report(*loaded.engine, loaded.services.compiler.get()).compile;
    warnings.insert(warnings.end(), compile.warnings.begin(), compile.warnings.end());
  }
  const engine::MemoryReport memory = loaded.engine->memory();
  loaded.limits = {.max_model_len = loaded.engine->config().max_model_len,
                   .vocab_size = config.vocab_size,
                   .max_logprobs = loaded.engine->config().max_logprobs,
                   .cache_tokens = memory.num_kv_blocks * loaded.engine->config().block_size};
  loaded.info = {
      .architecture = config.architecture,
      .parameters = models::measure_weights(config, dtype, *loaded.services.device).parameters,
      .weight_bytes = weight_bytes,
      .bytes_read_per_step =
          weight_bytes - (config.tie_word_embeddings
                              ? 0
                              : packed_size(loaded.services.device->weight_packer().packing_of(dtype),
                                            {config.vocab_size, config.hidden_size})
                                    .bytes()),
      .kv_bytes = memory.kv_bytes,
      .kv_block_size = loaded.engine->config().block_size,
      .kv_blocks = memory.num_kv_blocks,
      .max_num_seqs = loaded.engine->config().max_num_seqs,
      .arena_bytes = memory.arena_bytes,
      .input_bytes = memory.input_buffer_bytes,
      .memory = memory_lines(loaded.engine->planned_memory(), memory),
      .dtype = std::string(name_of(dtype)),
      .isa = std::string(loaded.services.device->level()),
      .fingerprint =
          fingerprint_of(loaded.engine->model(), loaded.services.device->level(), loaded.engine->config()),
      .threads = loaded.team->size(),
      .vocab_size = config.vocab_size,
      .max_model_len = loaded.engine->config().max_model_len,
      .load_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(),
      .warnings = std::move(warnings)};
  return loaded;
}

Sampling sampling_of(const weights::GenerationDefaults& defaults) {
  Sampling sampling;
  if (defaults.temperature) sampling.temperature = static_cast<float>(*defaults.temperature);
  if (defaults.top_k) sampling.top_k = static_cast<int>(*defaults.top_k);
  if (defaults.top_p) sampling.top_p = static_cast<float>(*defaults.top_p);
  if (defaults.min_p) sampling.min_p = static_cast<float>(*defaults.min_p);
  if (defaults.repetition_penalty)
    sampling.repetition_penalty = static_cast<float>(*defaults.repetition_penalty);
  if (defaults.do_sample && !*defaults.do_sample) sampling.temperature = 0;
  return sampling;
}

GraphReport report_of(const LoadedModel& loaded, const engine::Engine& engine) {
  const bool compiles = engine.config().graph.graph_opt_level == 2;
  GraphReport report = graph_report(engine, compiles ? loaded.services.compiler.get() : nullptr);
  // What was said when the model was loaded is not said again.
  std::erase_if(report.compile.warnings, [&](const std::string& warning) {
    const std::vector<std::string>& said = loaded.info.warnings;
    return std::find(said.begin(), said.end(), warning) != said.end();
  });
  return report;
}

}  // namespace reprise::api
