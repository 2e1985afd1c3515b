#include "engine/step_graphs.h"

#include <chrono>
#include <unordered_map>
#include <utility>

#include "core/error.h"

namespace reprise::engine {
namespace {

double microseconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

std::vector<graph::NamedTensor> named_inputs(const models::ForwardInput& input,
                                             const ops::SampleBuffers& samples) {
  std::vector<graph::NamedTensor> named = {
      {"token_ids", input.token_ids},       {"positions", input.positions},
      {"rope_lengths", input.rope_lengths}, {"slots", input.slots},
      {"seq_of_token", input.seq_of_token}, {"block_tables", input.block_tables},
      {"logit_rows", input.logit_rows},     {"sample.plan", samples.plan},
      {"sample.biases", samples.biases},    {"sample.counts", samples.counts},
      {"sample.tokens", samples.tokens},    {"sample.logprobs", samples.logprobs},
      {"sample.top_ids", samples.top_ids},  {"sample.top_logprobs", samples.top_logprobs}};
  for (size_t layer = 0; layer < input.kv->layers.size(); ++layer) {
    named.push_back({fmt::format("keys.{}", layer), input.kv->layers[layer].keys});
    named.push_back({fmt::format("values.{}", layer), input.kv->layers[layer].values});
  }
  return named;
}

StepGraphs build_step_graphs(const models::Model& model, const models::ForwardInput& input,
                             const ops::SampleBuffers& samples, const StepGraphOptions& options) {
  const std::vector<graph::NamedTensor> inputs = named_inputs(input, samples);
  const graph::TensorNamer namer = [&](const Tensor& tensor) { return model.weight_name(tensor); };
  StepGraphs graphs;
  auto start = std::chrono::steady_clock::now();
  graphs.traced = graph::trace("step", inputs, namer, [&] {
    const models::ForwardOutput output = model.forward(input);
    ops::sample(output.logits, samples);
    return std::vector<graph::NamedTensor>{{"logits", output.logits}};
  });
  graphs.trace_us = microseconds_since(start);
  graphs.step = graphs.traced;
  if (options.level == 0) return graphs;

  graph::PassContext context{.folder = options.folder, .max_model_len = options.max_model_len};
  start = std::chrono::steady_clock::now();
  graphs.passes = graph::run_passes(graphs.step, context, options.passes);
  graphs.pass_us = microseconds_since(start);
  graphs.scores = graph::trace("scores", inputs, namer, [&] {
    const models::ForwardOutput output = model.forward(input);
    return std::vector<graph::NamedTensor>{{"hidden", output.hidden}, {"logits", output.logits}};
  });
  graph::PassOptions quiet = options.passes;
  quiet.after_each = nullptr;
  graph::run_passes(graphs.scores, context, quiet);
  return graphs;
}

void rebind(graph::Graph& graph, const std::vector<graph::NamedTensor>& tensors) {
  std::unordered_map<std::string_view, const Tensor*> by_name;
  for (const graph::NamedTensor& named : tensors) by_name.emplace(named.name, &named.tensor);
  for (graph::Value& value : graph.values) {
    if (value.kind == graph::ValueKind::weight || value.kind == graph::ValueKind::result) continue;
    const auto found = by_name.find(value.name);
    REPRISE_CHECK(found != by_name.end(), "graph {} takes '{}', which nobody binds", graph.name, value.name);
    value.tensor = *found->second;
    value.shape = found->second->shape;
  }
  // Later versions of a state have its shape.
  for (graph::Value& value : graph.values)
    if (value.previous != graph::kNone) value.shape = graph.value(value.previous).shape;
}

}  // namespace reprise::engine
