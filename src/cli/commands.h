// The commands of `reprise`. Each adds its flags to the program and returns what runs it: an exit code comes
// back.
#pragma once

#include <CLI/CLI.hpp>

#include <functional>

namespace reprise::cli {

using Run = std::function<int()>;

Run add_generate(CLI::App& program);
Run add_chat(CLI::App& program);
Run add_tokenizer(CLI::App& program);
Run add_bench(CLI::App& program);
Run add_plan(CLI::App& program);
Run add_check(CLI::App& program);
Run add_explain(CLI::App& program);
Run add_graph(CLI::App& program);
Run add_collect_env(CLI::App& program);

}  // namespace reprise::cli
