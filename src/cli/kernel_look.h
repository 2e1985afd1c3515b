// The kernels of a model at level 2, found without its weights and for an ISA level that this CPU need not have: for
// `reprise compile` and the dumps of `reprise graph`.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "api/model_setup.h"
#include "codegen/loop_compiler.h"
#include "core/thread_team.h"
#include "graph/passes/pass.h"
#include "reprise/reprise.h"

namespace reprise::cli {

class KernelLook {
 public:
  enum class Take {
    what_is_there,  // verdicts and code of the artefact that `options` names and of the cache
    new_code,       // all is compiled now and, where this CPU has the level, timed
  };
  // Prints the setup's warnings on standard error. Throws Error on what can't be served at level 2.
  explicit KernelLook(const LoadOptions& options, Take take = Take::what_is_there);

  const api::ModelSetup& setup() const { return setup_; }
  const std::vector<graph::GroupRun>& groups() const { return groups_; }  // of a step, explained
  std::vector<codegen::LoopCompiler::Kernel> kernels() const { return compiler_.kernels(); }
  graph::CompilerReport report() const { return compiler_.report(); }

 private:
  api::ModelSetup setup_;
  ThreadTeam team_{1};
  codegen::LoopCompiler compiler_;
  std::vector<graph::GroupRun> groups_;
};

// `reprise graph --format kernels`: every group with its ops, places, bytes, times and neighbours.
std::string kernels_text(const KernelLook& look);

// `reprise graph --format loop|llvm|asm`: one kernel's program, or what the compiler makes of it; all of that name.
std::string kernel_text(const KernelLook& look, const std::string& format, const std::string& name);

}  // namespace reprise::cli
