// `reprise compile`: all kernels of a model at level 2 in one file, for machines without a compiler.
#include "api/compiled_file.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/kernel_look.h"
#include "cli/model_flags.h"
#include "codegen/artefact.h"
#include "codegen/compiler_process.h"
#include "codegen/object_code.h"
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
  const KernelLook look(flags.load);
  const std::vector<codegen::LoopCompiler::Kernel> kernels = look.kernels();
  codegen::CompilerProcess process;
  std::vector<codegen::Compiled> objects;
  double ms = 0;
  size_t bytes = 0;
  for (const codegen::LoopCompiler::Kernel& kernel : kernels) {
    try {
      objects.push_back(process.compile(kernel.request));
      static_cast<void>(codegen::check_object(objects.back().bytes));
    } catch (const Error& error) {
      throw Error("[compile] kernel {}: {}", kernel.name, error.what());
    }
    ms += std::chrono::duration<double, std::milli>(objects.back().took).count();
    bytes += objects.back().bytes.size();
  }
  std::vector<codegen::KernelPair> pairs;
  for (size_t i = 0; i < kernels.size(); ++i) pairs.push_back({kernels[i].key, objects[i].bytes});
  codegen::Artefact::write(flags.output, "-o",
                           api::about_artefact(look.setup(), kernels.size(), process.name()), pairs);
  TextOutput::standard().print("{} kernels of {} for {}, compiled in {:.0f} ms: {} of code in {}\n",
                               kernels.size(), look.setup().config.architecture, name_of(look.setup().isa),
                               ms, size_text(bytes), flags.output);
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
