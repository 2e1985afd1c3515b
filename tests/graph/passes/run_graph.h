// Runs a graph over a few steps and keeps every bit that it leaves: its outputs and the KV cache. Two graphs
// are equal if these are.
#pragma once

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "graph/executor.h"
#include "tests/graph/step_model.h"

namespace reprise::graph {

// What it is ("step 2: logits") and its bytes.
using Outcome = std::vector<std::pair<std::string, std::vector<std::byte>>>;

struct StepPart {
  int64_t seq, begin, tokens;
};
// A prefill, a decode step, a mixed one, a decode step of one sequence.
inline const std::vector<std::vector<StepPart>> kSteps = {
    {{0, 0, 7}, {3, 0, 20}}, {{0, 7, 1}, {3, 20, 1}}, {{3, 21, 1}, {5, 0, 38}, {0, 8, 1}}, {{5, 38, 1}}};

// The graph's inputs and states are those of `buffers`; the cache is zero before. What nobody wrote is NaN.
inline Outcome outcome_of(const Graph& graph, StepBuffers& buffers, Stream& stream) {
  const auto keep = [](const Tensor& tensor, StepSizes sizes) {
    return std::vector<std::byte>(tensor.data(), tensor.data() + tensor.extent().eval(sizes));
  };
  for (const models::KvLayer& layer : buffers.input().kv->layers)
    for (const Tensor& cache : {layer.keys, layer.values}) std::memset(cache.data(), 0, cache.buffer->bytes);
  const StepSizes largest = StepBuffers::kLargest;
  MemoryPlan plan = plan_memory(graph, largest, measure_workspaces(graph, largest, stream));
  const MemoryRange arena(host_memory(), plan.bytes + 64);
  std::memset(arena.data(), 0xff, arena.bytes());
  Executor executor(graph, std::move(plan), arena.data(), stream);
  Outcome outcome;
  for (size_t step = 0; step < kSteps.size(); ++step) {
    buffers.clear();
    for (const StepPart& part : kSteps[step]) buffers.add(part.seq, part.begin, part.tokens);
    stream.set_sizes(buffers.sizes());
    executor.run();
    for (const GraphOutput& output : graph.outputs)
      outcome.emplace_back(fmt::format("step {}: {}", step, output.name),
                           keep(executor.tensor(output.value), buffers.sizes()));
  }
  for (size_t i = 0; i < buffers.input().kv->layers.size(); ++i) {
    const models::KvLayer& layer = buffers.input().kv->layers[i];
    outcome.emplace_back(fmt::format("keys of layer {}", i), keep(layer.keys, {}));
    outcome.emplace_back(fmt::format("values of layer {}", i), keep(layer.values, {}));
  }
  return outcome;
}

// The first difference, in words; "" where there is none.
inline std::string difference(const Outcome& a, const Outcome& b) {
  if (a.size() != b.size()) return fmt::format("{} results and {}", a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i].second == b[i].second) continue;
    const auto [left, right] =
        std::mismatch(a[i].second.begin(), a[i].second.end(), b[i].second.begin(), b[i].second.end());
    return fmt::format("{} differs at byte {} of {}", a[i].first, left - a[i].second.begin(),
                       a[i].second.size());
  }
  return {};
}

}  // namespace reprise::graph
