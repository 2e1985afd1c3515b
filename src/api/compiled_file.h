// What an artefact (codegen/artefact.h) says that it is for: the text that `reprise compile` writes in front of
// its kernels, and that is compared before any weight is read.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "codegen/artefact.h"

namespace reprise::api {

struct ModelSetup;

// One JSON object: engine version, build of the compiler, architecture, sizes and dtype of the model, ISA level,
// number of kernels, and the `compiler` that made them ("llvm 19.1.7"), which nothing is compared with. What is left out
// (layers, weights, names) is nothing that kernels depend on.
std::string about_artefact(const ModelSetup& setup, size_t kernels, std::string_view compiler);

// Opens setup.compiled. Throws Error, one line, on a file that can't be read, is damaged, or is for another
// engine, level or model than the one that is set up.
codegen::Artefact open_artefact(const ModelSetup& setup);

}  // namespace reprise::api
