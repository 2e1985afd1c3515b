// `reprise collect-env`: what a report of a problem should say about the machine and this build.
#include <cstdio>

#include "cli/commands.h"
#include "cli/machine.h"
#include "cli/model_flags.h"
#include "core/json.h"
#include "core/thread_team.h"
#include "kernels/cpu/isa_select.h"
#include "models/registry.h"
#include "reprise/reprise.h"

namespace reprise::cli {
namespace {

int run(bool json) {
  Json isas = Json::array();
  for (const Isa isa : kernels::cpu::available_isas()) isas.push_back(name_of(isa));
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
                       {"memory_bytes", memory_bytes()},
                       {"isa_available", isas},
                       {"isa_float32", name_of(kernels::cpu::choose_isa(DType::f32))},
                       {"isa_bfloat16", name_of(kernels::cpu::choose_isa(DType::bf16))},
                       {"architectures", models::known_architectures()}};
  if (json) {
    std::printf("%s\n", to_json_text(report).c_str());
    return 0;
  }
  for (const auto& [name, value] : report.items())
    std::printf("%-16s %s\n", name.c_str(),
                value.is_string() ? value.get<std::string>().c_str() : to_json_text(value).c_str());
  return 0;
}

}  // namespace

Run add_collect_env(CLI::App& program) {
  CLI::App* command =
      program.add_subcommand("collect-env", "What machine and build this is, for reports of problems");
  auto json = std::make_shared<bool>(false);
  command->add_flag("--json", *json, "as one line of JSON");
  return [json] { return run(*json); };
}

}  // namespace reprise::cli
