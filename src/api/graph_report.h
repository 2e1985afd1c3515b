// Converts the engine's counts of steps and captures to the public API's types.
#pragma once

#include <span>

#include "core/json_fwd.h"
#include "engine/engine.h"
#include "graph/kernel_compiler.h"
#include "graph/passes/pass.h"
#include "reprise/reprise.h"

namespace reprise::api {

// Reasons (their codes, such as "cudagraph_off") and how many steps ran launch by launch for each; none with
// 0.
std::vector<std::pair<std::string, int64_t>> not_replayed(const engine::StepCounts& steps);

// `compiler`: null at levels below 2.
GraphReport graph_report(const engine::Engine& engine, const graph::KernelCompiler* compiler);

CompileReport compile_report(const graph::CompilerReport& compiler, std::span<const graph::GroupRun> groups);
Json compile_json(const CompileReport& report);
Json graph_json(const GraphReport& report);
// {reason: count}
Json counts_json(const std::vector<std::pair<std::string, int64_t>>& counts);

}  // namespace reprise::api
