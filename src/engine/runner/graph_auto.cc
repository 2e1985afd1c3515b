#include "engine/runner/graph_auto.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <memory>
#include <string>

#include "core/error.h"
#include "engine/runner/runner.h"

namespace reprise::engine {
namespace {

constexpr int kRounds = 7;
constexpr std::chrono::milliseconds kLeastTimed{20};  // of each measurement: short steps are repeated

struct Candidate {
  GraphConfig config;
  std::unique_ptr<Runner> runner;
  std::vector<std::vector<double>> us;  // by batch: of a step, a round each
};

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

double time_steps(Runner& runner, int64_t batch) {
  const auto start = std::chrono::steady_clock::now();
  auto spent = start - start;
  int steps = 0;
  for (; spent < kLeastTimed; spent = std::chrono::steady_clock::now() - start, ++steps)
    runner.run_idle(batch);
  return std::chrono::duration<double, std::micro>(spent).count() / steps;
}

std::string name_of(const GraphConfig& config) {
  constexpr std::string_view kLevels[] = {"eager", "static", "compiled"};
  return fmt::format("{}{}", kLevels[config.graph_opt_level], config.use_cudagraph ? " + replay" : "");
}

}  // namespace

AutoChoice choose_graph_config(const models::Model& model, const EngineServices& services,
                               const EngineConfig& config) {
  const std::vector<GraphConfig> configs = graph_candidates(config.graph, services.can());
  if (configs.size() == 1) return {configs.front(), {}};
  std::vector<int64_t> batches = {1};
  if (config.max_num_seqs > 1) batches.push_back(config.max_num_seqs);
  std::vector<Candidate> candidates;
  for (const GraphConfig& graph : configs) {
    EngineConfig trial = config;
    trial.graph = graph;
    trial.graph.verify = {};
    trial.num_gpu_blocks_override = config.max_num_seqs;
    candidates.push_back(
        {graph, std::make_unique<Runner>(model, services, trial, std::numeric_limits<size_t>::max()),
         std::vector<std::vector<double>>(batches.size())});
    GraphBackend& backend = candidates.back().runner->graph();
    if (graph.graph_opt_level == 2 && backend.graphs().groups.empty()) {
      candidates.pop_back();  // nothing to compile: it is level 1
      continue;
    }
    while (backend.capture_next()) {
    }
  }
  AutoChoice choice;
  if (services.compiler != nullptr) {
    services.compiler->settle();
    // What is interpreted is no use, and a start at level 2 would be refused.
    const graph::CompilerReport report = services.compiler->report();
    if (report.not_compiled.contains(std::string(graph::kNoCompiler))) {
      std::erase_if(candidates, [](const Candidate& c) { return c.config.graph_opt_level == 2; });
      choice.table.push_back("compiled: left out, because " + report.failure);
    }
  }
  for (int round = 0; round <= kRounds; ++round)
    for (Candidate& candidate : candidates)
      for (size_t b = 0; b < batches.size(); ++b) {
        const double us = time_steps(*candidate.runner, batches[b]);
        if (round > 0) candidate.us[b].push_back(us);  // the first one warms up
      }

  double least = std::numeric_limits<double>::infinity();
  for (const Candidate& candidate : candidates) {
    double product = 1;
    std::string line = fmt::format("{:<18}", name_of(candidate.config));
    for (size_t b = 0; b < batches.size(); ++b) {
      product *= median(candidate.us[b]);
      line += fmt::format("  {:>10.1f} us at batch {}", median(candidate.us[b]), batches[b]);
    }
    choice.table.push_back(std::move(line));
    if (product < least) {
      least = product;
      choice.config = candidate.config;
    }
  }
  choice.table.push_back("kept: " + name_of(choice.config));
  return choice;
}

}  // namespace reprise::engine
