#include "cli/kernel_look.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "api/compiled_file.h"
#include "cli/model_flags.h"
#include "codegen/compiler_process.h"
#include "core/error.h"
#include "device/cpu/cpu_device.h"
#include "engine/verify/dry_step.h"
#include "models/load_model.h"

namespace reprise::cli {
namespace {

api::ModelSetup set_up(LoadOptions options) {
  const std::optional<Isa> level = parse_isa(options.isa);
  if (level) options.isa = "auto";
  const std::string compiled =
      std::exchange(options.compiled, {});  // which wants the level that is set below
  api::ModelSetup setup = set_up_to_look(options);
  if (level) setup.isa = *level;
  if (setup.isa == Isa::scalar)
    throw Error("[--isa] no code is made for the level scalar; choose avx2 or above");
  setup.engine.graph.graph_opt_level = 2;
  setup.compiled = compiled;
  engine::require_graph_support(setup.engine.graph, setup.config.architecture,
                                setup.family.supports_graph_optimization);
  return setup;
}

std::vector<graph::GroupRun> groups_of(const api::ModelSetup& setup, ThreadTeam& team,
                                       codegen::LoopCompiler& compiler) {
  CpuDevice device(team, setup.isa);
  const std::unique_ptr<const models::Model> model =
      models::model_skeleton(setup.config, setup.dtype, device);
  return engine::DryStep(*model, {device, &compiler}, setup.engine.resolved())
      .trace(/*level=*/2, {}, /*explain=*/true)
      .groups;
}

// Layers that differ in their number alone, "model.layers.{0-3,7}.mlp".
std::string folded(const std::vector<std::string>& layers) {
  constexpr std::string_view kNumbered = "layers.";
  std::map<std::pair<std::string, std::string>, std::vector<int>> numbers;  // what is before and after
  std::vector<std::string> out;
  for (const std::string& layer : layers) {
    const size_t at = layer.find(kNumbered);
    int number = 0;
    const char* const begin = layer.data() + (at == std::string::npos ? layer.size() : at + kNumbered.size());
    const auto [end, error] = std::from_chars(begin, layer.data() + layer.size(), number);
    if (error == std::errc())
      numbers[{std::string(layer.data(), begin), std::string(end)}].push_back(number);
    else
      out.push_back(layer.empty() ? "(no layer)" : layer);
  }
  for (const auto& [around, list] : numbers) {
    std::vector<std::string> ranges;
    for (size_t i = 0; i < list.size();) {
      size_t last = i;
      while (last + 1 < list.size() && list[last + 1] <= list[last] + 1) ++last;
      ranges.push_back(list[i] == list[last] ? std::to_string(list[i])
                                             : fmt::format("{}-{}", list[i], list[last]));
      i = last + 1;
    }
    const bool one = list.front() == list.back();
    out.push_back(fmt::format("{}{}{}{}{}", around.first, one ? "" : "{", fmt::join(ranges, ","),
                              one ? "" : "}", around.second));
  }
  return fmt::format("{}", fmt::join(out, ", "));
}

// What is known of a kernel, under one heading.
std::string facts_text(std::string_view facts) {
  std::string text;
  while (!facts.empty()) {
    const size_t end = facts.find('\n');
    text += fmt::format("  {:<8}{}\n", text.empty() ? "code" : "", facts.substr(0, end));
    facts.remove_prefix(std::min(facts.size(), end + 1));
  }
  return text;
}

// What is said of a group, but where it is, what it takes and what is around it.
std::string group_text(const graph::GroupRun& group) {
  std::string text = fmt::format("  ops     {}\n", fmt::join(group.ops, " + "));
  text += fmt::format("  source  {}\n", fmt::join(group.sources, ", "));
  const int64_t bytes = group.bytes.eval({.tokens = 1, .seqs = 1, .rows = 1});
  const int64_t of_parts = group.bytes_of_parts.eval({.tokens = 1, .seqs = 1, .rows = 1});
  text += fmt::format("  bytes   {} read and written a row, {} by its parts\n", bytes, of_parts);
  if (!group.failure.empty()) text += fmt::format("  failed  {}\n", group.failure);
  if (!group.in_parts.empty()) text += "  stays   in parts\n";
  return text;
}

std::string neighbours_text(const graph::GroupRun& group) {
  std::string text;
  for (const graph::GroupRun::Neighbour& neighbour : group.neighbours)
    text += fmt::format("  outside {} ({}): {}\n", neighbour.op,
                        neighbour.reads ? "reads it" : "makes what it reads", neighbour.why_not);
  return text;
}

graph::CompilerOptions options_of(const api::ModelSetup& setup, KernelLook::Take take) {
  if (take == KernelLook::Take::new_code)
    return {.cache = "off", .before_ready = true, .trials = setup.compiler.trials};
  return {.cache = setup.compiler.cache, .makes_code = false};
}

}  // namespace

KernelLook::KernelLook(const LoadOptions& options, Take take)
    : setup_(set_up(options)),
      compiler_(setup_.isa, options_of(setup_, take),
                take == Take::what_is_there && !setup_.compiled.empty()
                    ? std::optional(api::open_artefact(setup_))
                    : std::nullopt,
                codegen::CompilerProcess::built_with(), setup_.threads),
      groups_(groups_of(setup_, team_, compiler_)) {}

std::string kernels_text(const KernelLook& look) {
  const std::vector<graph::GroupRun>& groups = look.groups();
  const std::vector<codegen::LoopCompiler::Kernel> kernels = look.kernels();
  std::string out = fmt::format("{} groups of a step, {} kernels for {}\n", groups.size(), kernels.size(),
                                name_of(look.setup().isa));
  std::vector<bool> shown(groups.size());
  std::set<std::string> said;
  for (size_t i = 0; i < groups.size(); ++i) {
    if (shown[i]) continue;
    const std::string text = group_text(groups[i]), around = neighbours_text(groups[i]);
    std::vector<std::string> layers;
    for (size_t j = i; j < groups.size(); ++j)
      if (groups[j].kernel == groups[i].kernel && group_text(groups[j]) == text &&
          neighbours_text(groups[j]) == around) {
        shown[j] = true;
        layers.push_back(groups[j].layer);
      }
    out += fmt::format("{}\n  layers  {}\n{}",
                       groups[i].kernel.empty() ? "(runs op by op)" : groups[i].kernel, folded(layers), text);
    const bool times = groups[i].facts.find('\n') + 1 < groups[i].facts.size();
    out +=
        times && !said.insert(groups[i].facts).second ? "  code    as above\n" : facts_text(groups[i].facts);
    out += around;
  }
  for (const codegen::LoopCompiler::Kernel& kernel : kernels)
    if (std::ranges::find(groups, kernel.name, &graph::GroupRun::kernel) == groups.end())
      out += fmt::format("{}\n  only in steps that score prompts\n", kernel.name);
  return out;
}

std::string kernel_text(const KernelLook& look, const std::string& format, const std::string& name) {
  std::string out;
  std::vector<std::string> names;
  codegen::CompilerProcess process;
  for (codegen::LoopCompiler::Kernel& kernel : look.kernels()) {
    if (std::ranges::find(names, kernel.name) == names.end()) names.push_back(kernel.name);
    if (kernel.name != name) continue;
    if (format == "loop") {
      out += kernel.request.program;
      continue;
    }
    kernel.request.output = format == "llvm" ? codegen::Output::llvm_text : codegen::Output::assembly;
    const codegen::Compiled compiled = process.compile(kernel.request);
    out.append(reinterpret_cast<const char*>(compiled.bytes.data()), compiled.bytes.size());
  }
  if (out.empty())
    throw Error("[graph] no kernel has the name '{}'; --kernel is one of: {}", name, fmt::join(names, ", "));
  return out;
}

}  // namespace reprise::cli
