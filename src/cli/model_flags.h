// The flags that say which model is loaded and what it may use: one set for every command that runs one.
#pragma once

#include <CLI/CLI.hpp>

#include <cstddef>
#include <string>

#include "reprise/reprise.h"

namespace reprise::cli {

// Bound to `options`, which must outlive the parsing.
void add_model_flags(CLI::App& command, LoadOptions& options);

// Loads and says on standard error what the settings may not do as meant.
LanguageModel load_model(const LoadOptions& options);

// "512MiB", "1.5GB", "1073741824". Throws Error on anything else.
size_t parse_size(const std::string& text);
std::string size_text(size_t bytes);  // "1.19 GB"

}  // namespace reprise::cli
