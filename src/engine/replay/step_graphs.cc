#include "engine/replay/step_graphs.h"

#include <chrono>
#include <sstream>
#include <unordered_map>
#include <utility>

#include "core/capture_error.h"
#include "core/capture_rules.h"
#include "core/error.h"
#include "graph/text.h"

namespace reprise::engine {
namespace {

double microseconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

void collect_inputs(const models::ForwardInput& input, const ops::SampleTensors& samples,
                    std::vector<const Tensor*>& found) {
  found.assign({&input.token_ids, &input.positions, &input.rope_lengths, &input.slots, &input.seq_of_token,
                &input.block_tables, &input.logit_rows, &samples.plan, &samples.biases, &samples.counts,
                &samples.masks, &samples.tokens, &samples.logprobs, &samples.top_ids, &samples.top_logprobs});
  for (const models::KvLayer& layer : input.kv->layers) {
    found.push_back(&layer.keys);
    found.push_back(&layer.values);
  }
}

std::vector<graph::NamedTensor> named_inputs(const models::ForwardInput& input,
                                             const ops::SampleTensors& samples) {
  constexpr std::string_view kNames[] = {
      "token_ids",    "positions",     "rope_lengths",    "slots",          "seq_of_token",
      "block_tables", "logit_rows",    "sample.plan",     "sample.biases",  "sample.counts",
      "sample.masks", "sample.tokens", "sample.logprobs", "sample.top_ids", "sample.top_logprobs"};
  std::vector<const Tensor*> tensors;
  collect_inputs(input, samples, tensors);
  std::vector<graph::NamedTensor> named;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const size_t behind = i - std::size(kNames);  // keys and values of the layers
    named.push_back({i < std::size(kNames)
                         ? std::string(kNames[i])
                         : fmt::format("{}.{}", behind % 2 == 0 ? "keys" : "values", behind / 2),
                     *tensors[i]});
  }
  return named;
}

graph::Graph trace_step(const models::Model& model, const models::ForwardInput& input,
                        const ops::SampleTensors& samples) {
  const graph::TensorNamer namer = [&](const Tensor& tensor) { return model.weight_name(tensor); };
  return graph::trace("step", named_inputs(input, samples), namer, [&] {
    const models::ForwardOutput output = model.forward(input);
    ops::sample(output.logits, samples);
    return std::vector<graph::NamedTensor>{{"logits", output.logits}};
  });
}

void require_same_code(const graph::Graph& a, const graph::Graph& b) {
  const std::string text_a = graph::print(a), text_b = graph::print(b);
  if (text_a == text_b) return;
  std::istringstream in_a(text_a), in_b(text_b);
  for (std::string line_a, line_b;;) {
    if (!std::getline(in_a, line_a)) line_a = "(nothing)";
    if (!std::getline(in_b, line_b)) line_b = "(nothing)";
    if (line_a != line_b)
      throw CaptureError(
          CaptureRule::dynamic_launch, "", "",
          fmt::format("the model's code does other things for other inputs: '{}' and '{}'", line_a, line_b));
    REPRISE_CHECK(in_a || in_b, "two texts differ, and no line of them");
  }
}

StepGraphs build_step_graphs(const models::Model& model, const models::ForwardInput& input,
                             const ops::SampleTensors& samples, const StepGraphOptions& options) {
  const std::vector<graph::NamedTensor> inputs = named_inputs(input, samples);
  const graph::TensorNamer namer = [&](const Tensor& tensor) { return model.weight_name(tensor); };
  StepGraphs graphs;
  auto start = std::chrono::steady_clock::now();
  graphs.traced = trace_step(model, input, samples);
  graphs.trace_us = microseconds_since(start);
  graphs.step = graphs.traced;
  if (options.level == 0) return graphs;

  graph::PassContext context{.folder = options.folder,
                             .max_model_len = options.max_model_len,
                             .compiler = options.compiler,
                             .groups = &graphs.groups,
                             .explain = options.explain};
  start = std::chrono::steady_clock::now();
  graphs.passes = graph::run_passes(graphs.step, context, options.passes);
  graphs.pass_us = microseconds_since(start);
  graphs.scores = graph::trace("scores", inputs, namer, [&] {
    const models::ForwardOutput output = model.forward(input);
    return std::vector<graph::NamedTensor>{{"hidden", output.hidden}, {"logits", output.logits}};
  });
  graph::PassOptions quiet = options.passes;
  quiet.after_each = nullptr;
  context.groups = nullptr;
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
