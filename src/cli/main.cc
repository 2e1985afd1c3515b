// The command `reprise`. Exit codes: 0 done; 1 an error, said in one line that begins "reprise: error:"
// (nothing is said where the reader of standard output has gone away); 2 wrong usage, said in the same way;
// 130 and 143 ended by SIGINT and SIGTERM.
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstddef>
#include <exception>
#include <new>
#include <stdexcept>
#include <string_view>
#include <system_error>

#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/say.h"
#include "core/text_output.h"
#include "reprise/reprise.h"

namespace {

using namespace reprise;

int run(int argc, char** argv) {
  cli::CommandLine line("reprise", "Reprise: runs large language models on this machine",
                        std::string("reprise ") + version());
  for (const auto add :
       {cli::add_generate, cli::add_chat, cli::add_complete, cli::add_tokenizer, cli::add_bench,
        cli::add_plan, cli::add_check, cli::add_explain, cli::add_graph, cli::add_compile, cli::add_cache,
        cli::add_serve, cli::add_replay, cli::add_collect_env})
    add(line.program());
  const int code = line.run(argc, argv);
  TextOutput::standard().flush();
  return code;
}

// A file that is opened later must not get the number of a closed standard stream, or output would go there.
// The stream stays unusable: it is opened for the other direction.
void reserve_standard_streams() {
  for (const auto& [fd, mode] : {std::pair(STDIN_FILENO, O_WRONLY), std::pair(STDOUT_FILENO, O_RDONLY),
                                 std::pair(STDERR_FILENO, O_RDONLY)})
    if (fcntl(fd, F_GETFD) == -1) static_cast<void>(open("/dev/null", mode));  // takes the lowest number
}

constexpr std::string_view kOutOfMemory =
    "out of memory: the system gave no more; lower --max-num-seqs, --max-model-len or "
    "--kv-cache-memory, use a smaller model, or raise the memory limit of this process";
constexpr std::string_view kOutOfThreads =
    "the system starts no more threads; lower --threads, or raise this user's limits on memory and processes";

// Says what went wrong and returns the exit code; to be called where an exception is handled.
int explain_exception() {
  try {
    throw;
  } catch (const ClosedPipe&) {
    return 1;
  } catch (const cli::UsageError& e) {
    cli::say_error(e.what());
    return 2;
  } catch (const cli::Interrupted& e) {
    cli::say_error(e.what());
    return e.exit_code();
  } catch (const std::bad_alloc&) {
    cli::say_error(kOutOfMemory);
  } catch (const std::length_error&) {  // a container was asked for more than any machine has
    cli::say_error(kOutOfMemory);
  } catch (const std::system_error& e) {
    if (e.code() == std::errc::resource_unavailable_try_again)
      cli::say_error(kOutOfThreads);
    else
      cli::say_error(e.what());
  } catch (const std::exception& e) {
    cli::say_error(e.what());
  } catch (...) {
    cli::say_error("an exception of unknown type; please report it with the command line");
  }
  return 1;
}

// Results that were computed before the error are the user's; where they can't be written, the first error
// has been said.
int flush_after_error(int code) {
  try {
    TextOutput::standard().flush();
  } catch (const std::exception&) {
  }
  return code;
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
  // A reader that goes away and a file that grows too long are errors of that write (TextOutput).
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  reserve_standard_streams();
  try {
    reserve = new char[kReserve];
    std::set_new_handler(give_up_reserve);
    return run(argc, argv);
  } catch (...) {
    return flush_after_error(explain_exception());
  }
}
