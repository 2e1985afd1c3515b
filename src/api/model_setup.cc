#include "api/model_setup.h"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <utility>

#include "api/compiled_file.h"
#include "codegen/loop_compiler.h"
#include "core/error.h"
#include "core/process_limits.h"
#include "device/cpu/cpu_device.h"
#include "device/cpu/isa_select.h"
#include "engine/config/graph_config.h"
#include "engine/verify/dry_step.h"
#include "models/load_model.h"
#include "weights/gguf.h"

namespace reprise::api {
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
  config.device_batched_tokens = CpuDevice::kBatchedTokens;
  if (options.max_num_batched_tokens > 0) config.max_num_batched_tokens = options.max_num_batched_tokens;
  config.enable_chunked_prefill = options.enable_chunked_prefill;
  config.target_itl_s = static_cast<double>(options.target_itl_ms) / 1000;
  config.block_size = options.block_size;
  config.enable_prefix_caching = options.enable_prefix_caching;
  if (options.num_gpu_blocks_override > 0) config.num_gpu_blocks_override = options.num_gpu_blocks_override;
  if (options.kv_cache_memory > 0) config.kv_cache_memory = options.kv_cache_memory;
  config.memory_utilization = options.gpu_memory_utilization;
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

// Throws Error where the graph settings can't be served for this model; returns warnings about the rest.
std::vector<std::string> check_graph(const engine::EngineConfig& config, const models::Family& family,
                                     const engine::GraphCapabilities& can) {
  engine::require_graph_support(config.graph, family.architecture, family.supports_graph_optimization);
  const engine::GraphLimits limits = config.resolved().graph_limits(can);
  std::vector<std::string> warnings;
  for (const engine::GraphConfig& candidate : engine::graph_candidates(config.graph, can))
    warnings = engine::resolve_graph(candidate, limits).warnings;  // the last asks for most
  return warnings;
}

// A variable of the environment that is 1, 0, or absent or empty.
bool switched_on(const char* name, bool otherwise) {
  const char* variable = std::getenv(name);
  const std::string_view text = variable != nullptr ? variable : "";
  if (!text.empty() && text != "0" && text != "1")
    throw Error("[config] {} is '{}', expected 1 or 0; correct or unset it", name, text);
  return text.empty() ? otherwise : text == "1";
}

}  // namespace

void check_load_options(const LoadOptions& options) {
  // A model of one position: what depends on the model's length stays unlimited.
  weights::ModelConfig model;
  model.max_position_embeddings = 1;
  static_cast<void>(engine_config(options, model, {}).resolved());
  static_cast<void>(compile_before_ready(options));
  static_cast<void>(compile_trials());
}

bool compile_before_ready(const LoadOptions& options) {
  const bool set = switched_on("REPRISE_COMPILE_BEFORE_READY", false);
  return options.compile_before_ready.value_or(set);
}

bool compile_trials() {
  return switched_on("REPRISE_COMPILE_TRIALS", true);
}

ModelSetup set_up_model(const LoadOptions& options) {
  if (options.model.empty()) throw Error("[--model] missing; give a model's folder or a .gguf file");
  ModelSetup setup;
  setup.path = options.model;
  if (!std::filesystem::exists(setup.path))
    throw Error("[--model] {} does not exist; give a model's folder or a .gguf file", setup.path.string());
  setup.config = weights::load_model_config(setup.path);
  setup.family = models::find_family(setup.config.architecture);
  if (!weights::is_gguf_file(setup.path))
    setup.defaults = weights::load_generation_defaults(
        std::filesystem::is_directory(setup.path) ? setup.path : setup.path.parent_path());
  setup.engine = engine_config(options, setup.config, setup.defaults);
  setup.can = {.has_compiler = true,  // a program that brings none has ours
               .one_recording_fits = CpuDevice::kReplaysAnySize};
  setup.warnings = check_graph(setup.engine, setup.family, setup.can);
  for (const auto* found : {&setup.config.warnings, &setup.defaults.warnings})
    setup.warnings.insert(setup.warnings.end(), found->begin(), found->end());
  setup.compiler = {.cache = options.compile_cache,
                    .before_ready = compile_before_ready(options),
                    .trials = compile_trials(),
                    .debug = options.compile_debug};
  setup.compiled = options.compiled;
  if (!setup.compiled.empty() && setup.engine.graph.graph_opt_level < 2 && !setup.engine.graph.choose_level)
    setup.warnings.push_back("--compiled is without effect below \"graph_opt_level\": 2");
  setup.dtype = compute_dtype(options.dtype, setup.config);
  setup.isa = cpu::choose_isa(setup.dtype, options.isa);
  setup.threads = options.threads == 0 ? usable_cores() : options.threads;
  return setup;
}

OwnedServices make_services(const ModelSetup& setup, ThreadTeam& team, Purpose purpose) {
  OwnedServices owned{.device = std::make_unique<CpuDevice>(team, setup.isa), .compiler = nullptr};
  const engine::GraphConfig& graph = setup.engine.graph;
  const graph::CompilerFactory& own = graph::find_compiler(owned.device->kind());
  graph::CompilerOptions options = setup.compiler;
  options.makes_code = purpose == Purpose::run;
  if (graph.graph_opt_level < 2 && !graph.choose_level) return owned;
  if (own) {
    owned.compiler = own(*owned.device, options);
    return owned;
  }
  std::optional<codegen::Artefact> artefact;
  if (!setup.compiled.empty()) artefact = open_artefact(setup);
  owned.compiler = codegen::make_loop_compiler(*owned.device, options, setup.threads, std::move(artefact));
  return owned;
}

void require_kernels(const ModelSetup& setup, const OwnedServices& owned) {
  if (setup.engine.graph.graph_opt_level < 2 || owned.compiler->can_compile()) return;
  const std::unique_ptr<const models::Model> model =
      models::model_skeleton(setup.config, setup.dtype, *owned.device);
  engine::DryStep(*model, owned.services(), setup.engine.resolved()).trace(/*level=*/2);
  owned.compiler->ready();
}

}  // namespace reprise::api
