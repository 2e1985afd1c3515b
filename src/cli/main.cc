// The command `reprise`. Exit codes: 0 done, 1 an error said in one line, 2 wrong usage.
#include <CLI/CLI.hpp>

#include <atomic>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "cli/commands.h"
#include "reprise/reprise.h"

namespace {

int run(int argc, char** argv) {
  using namespace reprise::cli;
  CLI::App program("Reprise: serves large language models from C++", "reprise");
  program.set_version_flag("--version", std::string("reprise ") + reprise::version());
  program.require_subcommand(1);
  std::vector<std::pair<CLI::App*, Run>> commands;
  for (const auto add : {add_generate, add_chat, add_tokenizer, add_bench, add_plan, add_check, add_explain,
                         add_graph, add_collect_env}) {
    Run runner = add(program);
    commands.emplace_back(program.get_subcommands({}).back(), std::move(runner));
  }
  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return program.exit(e) == 0 ? 0 : 2;
  }
  for (const auto& [command, runner] : commands)
    if (command->parsed()) return runner();
  return 2;
}

// Memory for the way out: given back at the first refusal, so that destructors which allocate (those of
// nlohmann::json do, and end the process where they can't) find some while the exception passes.
constexpr std::size_t kReserve = std::size_t{1} << 20;
std::atomic<char*> reserve{nullptr};

void give_up_reserve() {
  delete[] reserve.exchange(nullptr);
  throw std::bad_alloc();
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE,
              SIG_IGN);  // a reader that goes away is an error of that write, not the end of the process
  try {
    reserve = new char[kReserve];
    std::set_new_handler(give_up_reserve);
    return run(argc, argv);
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "reprise: error: out of memory; use a smaller model, context or batch\n");
  } catch (const std::exception& e) {
    std::fputs("reprise: error: ", stderr);
    for (const char* c = e.what(); *c != '\0'; ++c)  // without a copy: memory may have run out
      std::fputc(*c == '\n' || *c == '\r' ? ' ' : *c, stderr);
    std::fputc('\n', stderr);
  }
  return 1;
}
