#include "engine/verify/dry_step.h"

#include "engine/step/step_contents.h"

namespace reprise::engine {

DryStep::DryStep(const models::Model& model, const EngineServices& services, const EngineConfig& config)
    : model_(model),
      services_(services),
      max_model_len_(config.max_model_len),
      limits_(step_limits(config)),
      stream_(services.device),
      cache_(services.device.memory(), model.config(), model.dtype(), config),
      samples_(services.device.memory(), limits_.rows, logprob_columns(config, model.config().vocab_size),
               model.config().vocab_size),
      inputs_(services.device.memory(), limits_, cache_.view()),
      folder_(stream_, kDry) {}

StepGraphs DryStep::trace(int level, const graph::PassOptions& passes, bool explain) {
  return build_step_graphs(model_, inputs_.forward(), samples_.tensors(),
                           {.level = level,
                            .max_model_len = max_model_len_,
                            .folder = &folder_,
                            .compiler = level == 2 ? &compiler_for(services_) : nullptr,
                            .passes = passes,
                            .explain = explain});
}

graph::MemoryPlan DryStep::lay_out(const graph::Graph& graph, const StepSizes& largest) {
  return graph::plan_memory(graph, largest, graph::measure_workspaces(graph, largest, stream_));
}

void DryStep::fill(int content) {
  fill_step(inputs_, samples_, limits_, model_.config().vocab_size, content);
}

}  // namespace reprise::engine
