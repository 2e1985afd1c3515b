#include "cli/model_flags.h"

#include <cstdio>

#include "api/field_text.h"
#include "api/load_fields.h"
#include "core/error.h"
#include "engine/graph_config.h"
#include "models/load_model.h"
#include "weights/checkpoint.h"

namespace reprise::cli {

std::string size_text(size_t bytes) {
  const auto value = static_cast<double>(bytes);
  if (value >= 1e9) return fmt::format("{:.2f} GB", value / 1e9);
  if (value >= 1e6) return fmt::format("{:.1f} MB", value / 1e6);
  return fmt::format("{:.1f} kB", value / 1e3);
}

CLI::Option* add_size_option(CLI::App& command, const std::string& name, size_t& value,
                             const std::string& help) {
  return command.add_option_function<std::string>(
      name,
      [name, &value](const std::string& text) {
        try {
          value = api::parse_size(text);
        } catch (const Error& e) {
          throw CLI::ValidationError(name, e.what());
        }
      },
      help);
}

namespace {

void warn(const std::vector<std::string>& warnings) {
  for (const std::string& warning : warnings) std::fprintf(stderr, "reprise: warning: %s\n", warning.c_str());
}

// Predicted beside actual, where graph optimisation is asked for: its arenas are planned, not found out.
void print_memory(const ModelInfo& info) {
  std::fprintf(stderr, "%-14s %12s %12s\n", "memory", "predicted", "actual");
  MemoryUse total{.what = "total"};
  const auto row = [](const MemoryUse& use) {
    std::fprintf(stderr, "%-14s %12s %12s\n", use.what.c_str(), size_text(use.predicted).c_str(),
                 size_text(use.actual).c_str());
  };
  for (const MemoryUse& use : info.memory) {
    row(use);
    total.predicted += use.predicted;
    total.actual += use.actual;
  }
  row(total);
}

bool asks_for_graphs(const LoadOptions& options) {
  return !options.graph_optimization_config.empty() || options.use_cudagraph.value_or(false) ||
         !options.graph_opt.empty() || options.capture_before_ready;
}

}  // namespace

void add_model_flags(CLI::App& command, LoadOptions& options) {
  for (const api::LoadField& field : api::load_fields()) {
    const std::string flag = api::flag_name(field.name);
    const auto set = [&options, &field, flag](const std::string& value) {
      try {
        api::set_load_field(field, options, value, flag);
      } catch (const Error& e) {
        throw CLI::ValidationError(e.what());
      }
    };
    const bool on = field.form == api::LoadForm::on_flag;
    CLI::Option* option = on || field.form == api::LoadForm::flag
                              ? command.add_flag_function(
                                    on ? flag + ",!--no-" + flag.substr(2) : flag,
                                    [set](int64_t count) { set(count > 0 ? "true" : "false"); }, field.help)
                              : command.add_option_function<std::string>(flag, set, field.help);
    option->group(field.group);
    if (field.name == std::string_view("model")) option->required();
  }
}

LanguageModel load_model(const LoadOptions& options) {
  LanguageModel model = LanguageModel::load(options);
  warn(model.info().warnings);
  if (asks_for_graphs(options)) print_memory(model.info());
  return model;
}

void report_graphs(const LanguageModel& model, const LoadOptions& options) {
  if (!asks_for_graphs(options)) return;
  const GraphReport report = model.graph_report();
  std::fprintf(stderr, "%s", report.text().c_str());
  if (report.steps_differing > 0)
    throw Error(
        "[--graph-verify] {} of {} steps differ from the model's own code, so their output is wrong: {}; run "
        "with graph_opt_level 0 and without use_cudagraph, and report it",
        report.steps_differing, report.steps_verified, report.difference);
}

api::ModelSetup set_up_to_look(const LoadOptions& options) {
  api::ModelSetup setup = api::set_up_model(options);
  if (setup.engine.graph.choose_level) {
    setup.engine.graph = engine::graph_candidates(setup.engine.graph, /*has_compiler=*/false).back();
    setup.warnings.push_back("--graph-opt auto measures at start; this is of the way to run that needs most");
  }
  warn(setup.warnings);
  return setup;
}

std::unique_ptr<const models::Model> load_weights(const api::ModelSetup& setup, const LoadOptions& options,
                                                  ThreadTeam& team) {
  std::unique_ptr<weights::Checkpoint> checkpoint;
  if (!options.random_weights) checkpoint = weights::Checkpoint::open(setup.path);
  return models::load_model(setup.config, checkpoint.get(), setup.dtype, team);
}

}  // namespace reprise::cli
