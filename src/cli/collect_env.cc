// `reprise collect-env`: what a report of a problem should say about the machine and this build.
#include <cmath>

#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/machine.h"
#include "core/json.h"
#include "core/process_limits.h"
#include "core/text_output.h"
#include "device/cpu/isa_select.h"
#include "models/registry.h"
#include "reprise/reprise.h"

namespace reprise::cli {
namespace {

int run_collect_env(bool json) {
  Json isas = Json::array();
  for (const Isa isa : cpu::available_isas()) isas.push_back(name_of(isa));
  const double quota = cpu_quota();  // of the cgroups
  const Json report = {{"reprise", version()},
                       {"compiler", __VERSION__},
                       {"build",
#ifdef NDEBUG
                        "release"
#else
                        "debug"
#endif
                       },
                       {"system", kernel_release()},
                       {"cpu", cpu_name()},
                       {"usable_cores", usable_cores()},
                       {"cpu_quota", std::isfinite(quota) ? Json(quota) : Json()},
                       {"memory_bytes", memory_bytes()},
                       {"available_memory_bytes", available_memory()},
                       {"isa_available", isas},
                       {"isa_float32", name_of(cpu::choose_isa(DType::f32))},
                       {"isa_bfloat16", name_of(cpu::choose_isa(DType::bf16))},
                       {"architectures", models::known_architectures()}};
  TextOutput& out = TextOutput::standard();
  if (json) {
    out.print("{}\n", to_json_text(report));
    return 0;
  }
  for (const auto& [name, value] : report.items())
    out.print("{:<16} {}\n", name, value.is_string() ? value.get<std::string>() : to_json_text(value));
  return 0;
}

}  // namespace

void add_collect_env(Command& program) {
  Command& command =
      program.add_command("collect-env", "What machine and build this is, for reports of problems");
  auto json = std::make_shared<bool>(false);
  command.on_off("--json", *json, "as one line of JSON");
  command.action([json] { return run_collect_env(*json); });
}

}  // namespace reprise::cli
