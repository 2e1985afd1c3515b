// `reprise compile`: all kernels of a model at level 2 in one file, for machines without a compiler.
#include "api/compiled_file.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/kernel_look.h"
#include "cli/model_flags.h"
#include "codegen/artefact.h"
#include "core/error.h"
#include "core/text_output.h"

namespace reprise::cli {
namespace {

struct CompileFlags {
  LoadOptions load;
  std::string output;
};

int run_compile(const CompileFlags& flags) {
  TextOutput(flags.output, "-o");  // a file that can't be written is found before the work
  const KernelLook look(flags.load, KernelLook::Take::new_code);
  const std::vector<codegen::LoopCompiler::Kernel> kernels = look.kernels();
  std::vector<std::string> notes;
  size_t bytes = 0, slower = 0;
  for (const codegen::LoopCompiler::Kernel& kernel : kernels) {
    if (kernel.object.empty()) throw Error("[compile] kernel {}: {}", kernel.name, kernel.failure);
    notes.push_back(kernel.verdict ? codegen::print(*kernel.verdict) : "");
    bytes += kernel.object.size();
    slower += kernel.verdict && kernel.verdict->stays_in_parts() ? 1 : 0;
  }
  std::vector<codegen::KernelPair> pairs;
  for (size_t i = 0; i < kernels.size(); ++i)
    pairs.push_back({.key = kernels[i].key, .payload = kernels[i].object, .note = notes[i]});
  const graph::CompilerReport report = look.report();
  codegen::Artefact::write(flags.output, "-o",
                           api::about_artefact(look.setup(), kernels.size(), report.compiler), pairs);
  TextOutput::standard().print("{} kernels of {} for {}, compiled in {:.0f} ms: {} of code in {}\n",
                               kernels.size(), look.setup().config.architecture, name_of(look.setup().isa),
                               report.ms, size_text(bytes), flags.output);
  if (report.trials_ms > 0)
    TextOutput::standard().print("timed in {:.0f} ms: {} of them will run op by op, as that is as fast\n",
                                 report.trials_ms, slower);
  else
    TextOutput::standard().print("not timed\n");
  return 0;
}

}  // namespace

void add_compile(Command& program) {
  Command& command = program.add_command(
      "compile", "All kernels of a model at level 2 in one file without weights, for --compiled");
  command.note("--isa names the level of the machine that will serve it; this CPU need not have it.");
  auto flags = std::make_shared<CompileFlags>();
  add_model_flags(command, flags->load);
  command.text("-o,--output", flags->output, "the file to write", "FILE").required();
  command.action([flags] { return run_compile(*flags); });
}

}  // namespace reprise::cli
