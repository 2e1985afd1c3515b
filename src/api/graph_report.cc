#include "api/graph_report.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "core/json.h"
#include "engine/replay/graph_backend.h"
#include "engine/verify/step_verifier.h"

namespace reprise {
namespace api {

std::vector<std::pair<std::string, int64_t>> not_replayed(const engine::StepCounts& steps) {
  std::vector<std::pair<std::string, int64_t>> reasons;
  for (size_t i = 0; i < steps.not_replayed.size(); ++i)
    if (const int64_t count = steps.not_replayed[i]; count > 0)
      reasons.emplace_back(engine::code_of(static_cast<engine::NotReplayed>(i)), count);
  return reasons;
}

CompileReport compile_report(const graph::CompilerReport& compiler, std::span<const graph::GroupRun> groups) {
  CompileReport report{.compiler = compiler.compiler,
                       .groups = 0,
                       .kernels = compiler.kernels,
                       .compiled = compiler.compiled,
                       .from_cache = compiler.from_cache,
                       .rejected = compiler.rejected,
                       .not_compiled = {compiler.not_compiled.begin(), compiler.not_compiled.end()},
                       .in_parts = {},
                       .ms = compiler.ms,
                       .trials_ms = compiler.trials_ms,
                       .cache_dir = compiler.cache_dir,
                       .warnings = {}};
  int64_t failed = 0;
  for (const graph::GroupRun& group : groups) {
    if (!group.in_parts.empty()) {
      if (std::ranges::find(report.in_parts, group.in_parts) == report.in_parts.end())
        report.in_parts.push_back(group.in_parts);
      continue;
    }
    ++(group.failure.empty() ? report.groups : failed);
    if (!group.failure.empty() && failed == 1)
      report.warnings.push_back(fmt::format("{} of {} run op by op, because no kernel could be made: {}",
                                            fmt::join(group.ops, " + "), group.layer, group.failure));
  }
  if (failed > 0) report.not_compiled.emplace_back("group_failed", failed);
  for (const std::string& warning : {compiler.failure, compiler.cache_warning})
    if (!warning.empty()) report.warnings.push_back(warning);
  return report;
}

Json counts_json(const std::vector<std::pair<std::string, int64_t>>& counts) {
  Json object = Json::object();
  for (const auto& [reason, count] : counts) object[reason] = count;
  return object;
}

Json compile_json(const CompileReport& report) {
  const auto text_or_null = [](const std::string& text) { return text.empty() ? Json() : Json(text); };
  return {{"compiler", text_or_null(report.compiler)},
          {"groups", report.groups},
          {"kernels", report.kernels},
          {"compiled", report.compiled},
          {"from_cache", report.from_cache},
          {"rejected", report.rejected},
          {"not_compiled", counts_json(report.not_compiled)},
          {"ms", report.ms},
          {"trials_ms", report.trials_ms},
          {"cache_dir", text_or_null(report.cache_dir)}};
}

Json graph_json(const GraphReport& report) {
  Json splits = Json::array();
  for (const GraphReport::Split& split : report.splits)
    splits.push_back({{"op", split.op}, {"layer", split.layer}, {"why", split.why}});
  return {{"steps", report.steps},
          {"steps_replayed", report.steps_replayed},
          {"steps_split", report.steps_split},
          {"steps_not_replayed", counts_json(report.steps_not_replayed)},
          {"tokens_replayed", report.tokens_replayed},
          {"tokens_padding", report.tokens_padding},
          {"captures", report.captures},
          {"captures_pending", report.captures_pending},
          {"captures_failed", report.captures_failed},
          {"capture_failure", report.capture_failure},
          {"capture_s", report.capture_s},
          {"launches", report.launches},
          {"splits", std::move(splits)},
          {"compile", compile_json(report.compile)},
          {"steps_verified", report.steps_verified},
          {"steps_differing", report.steps_differing}};
}

GraphReport graph_report(const engine::Engine& engine, const graph::KernelCompiler* compiler) {
  const engine::StepCounts steps = engine.stats().steps;
  const engine::GraphStats graph = engine.graph().stats();
  const engine::VerifyStats& verified = engine.verified();
  GraphReport report{.steps = steps.total(),
                     .steps_replayed = steps.replayed,
                     .steps_split = steps.split,
                     .steps_not_replayed = not_replayed(steps),
                     .tokens_replayed = steps.replayed_tokens,
                     .tokens_padding = steps.padding_tokens,
                     .captures = graph.captures,
                     .captures_pending = graph.pending,
                     .captures_failed = graph.capture_failures,
                     .capture_failure = graph.failure,
                     .capture_s = graph.capture_s,
                     .warmup_s = graph.warmup_s,
                     .launches = graph.launches,
                     .splits = {},
                     .compile = {},
                     .steps_verified = verified.checked,
                     .steps_differing = verified.differing,
                     .difference = verified.last};
  for (const engine::Split& split : engine.graph().splits())
    report.splits.push_back({split.op, split.layer, split.why});
  if (compiler != nullptr)
    report.compile = compile_report(compiler->report(), engine.graph().graphs().groups);
  return report;
}

}  // namespace api

namespace {

std::string compile_text(const CompileReport& compile) {
  std::string out;
  if (compile.kernels + compile.groups > 0)
    out += fmt::format(
        "graph: {} groups of ops run as {} kernels: {} compiled in {:.0f} ms{}{}, {} from the cache\n",
        compile.groups, compile.kernels, compile.compiled, compile.ms,
        compile.compiler.empty() ? "" : " by " + compile.compiler,
        compile.trials_ms > 0 ? fmt::format(", timed in {:.0f} ms", compile.trials_ms) : "",
        compile.from_cache);
  if (compile.rejected > 0)
    out += fmt::format("graph: {} damaged entries of the cache in {} were made again\n", compile.rejected,
                       compile.cache_dir);
  for (const auto& [reason, count] : compile.not_compiled)
    out += fmt::format("graph: {} not compiled: {}\n", count, reason);
  for (const std::string& group : compile.in_parts) out += fmt::format("graph: {}\n", group);
  for (const std::string& warning : compile.warnings) out += fmt::format("graph: {}\n", warning);
  return out;
}

}  // namespace

std::string GraphReport::text() const {
  const auto share = [](int64_t part, int64_t whole) {
    return whole == 0 ? 0.0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
  };
  std::string out = fmt::format("graph: {} of {} steps replayed ({:.1f} %)", steps_replayed, steps,
                                share(steps_replayed, steps));
  if (steps_split > 0) out += fmt::format(", {} of them in parts", steps_split);
  out += fmt::format(", padding {:.1f} % of their rows\n",
                     share(tokens_padding, tokens_replayed + tokens_padding));
  for (const auto& [reason, count] : steps_not_replayed)
    out += fmt::format("graph: {} steps not replayed: {}\n", count, reason);
  out += fmt::format(
      "graph: {} captures in {:.1f} ms, {:.1f} ms of warm-up, {} failed, {} pending; {} launches a step\n",
      captures, capture_s * 1e3, warmup_s * 1e3, captures_failed, captures_pending, launches);
  if (!capture_failure.empty()) out += fmt::format("graph: the last failure: {}\n", capture_failure);
  for (auto split = splits.begin(); split != splits.end();) {
    // Layers that are alike share a line.
    const auto other = std::find_if(split, splits.end(), [&](const Split& next) {
      return next.op != split->op || next.why != split->why;
    });
    out += fmt::format("graph: split at {} of {}", split->op, split->layer);
    if (const auto more = other - split - 1; more > 0) out += fmt::format(" and {} more layers", more);
    out += fmt::format(": {}\n", split->why);
    split = other;
  }
  out += compile_text(compile);
  if (steps_verified > 0)
    out += fmt::format("graph: {} steps compared with the model's own code, {} differ\n", steps_verified,
                       steps_differing);
  return out;
}

}  // namespace reprise
