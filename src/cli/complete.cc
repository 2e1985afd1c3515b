// `reprise complete`: goes on with one text, streamed to standard output.
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <memory>
#include <string>

#include "cli/answerer.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "core/error.h"
#include "core/text_output.h"

namespace reprise::cli {
namespace {

struct CompleteFlags {
  explicit CompleteFlags(Command& command) : answerer(command) {}
  AnswererFlags answerer;
  std::string prompt;
  bool given = false;
};

// All of standard input.
std::string read_standard_input() {
  constexpr size_t kMost = size_t{16} << 20;  // of a prompt
  std::string text;
  char bytes[65536];
  for (;;) {
    const ssize_t got = read(STDIN_FILENO, bytes, sizeof bytes);
    if (got < 0) throw Error("[complete] standard input cannot be read; give --prompt");
    if (got == 0) return text;
    text.append(bytes, static_cast<size_t>(got));
    if (text.size() > kMost)
      throw Error("[complete] the prompt on standard input has more than {} bytes; shorten it", kMost);
  }
}

int run_complete(const CompleteFlags& flags) {
  Question question;
  question.text = flags.given ? flags.prompt : read_standard_input();
  const InterruptGuard guard({SIGINT, SIGTERM});
  const std::unique_ptr<Answerer> answerer = flags.answerer.open(false);
  TextOutput& out = TextOutput::standard();
  const Answer answer = answerer->answer(question, [&](std::string_view text) {
    out.write(text);
    out.flush();
    return InterruptGuard::caught() == 0;
  });
  if (!answer.text.empty()) out.write("\n");
  out.flush();
  if (InterruptGuard::caught() != 0) throw Interrupted(InterruptGuard::caught(), "interrupted");
  if (!answer.error.empty()) throw Error(answer.error);
  if (isatty(STDERR_FILENO) != 0) std::fprintf(stderr, "%s\n", answer.summary().c_str());
  return 0;
}

}  // namespace

void add_complete(Command& program) {
  Command& command = program.add_command("complete", "Go on with a text: by a model here, or by a server");
  const auto flags = std::make_shared<CompleteFlags>(command);
  command.add(
      "--prompt", "TEXT",
      [flags = flags.get()](const std::string&, const std::string& text) {
        flags->prompt = text;
        flags->given = true;
      },
      "the text; otherwise all of standard input");
  command.check([flags = flags.get()] {
    if (!flags->given && isatty(STDIN_FILENO) != 0) throw Error("[complete] has no prompt; give --prompt");
  });
  command.action([flags] { return run_complete(*flags); });
}

}  // namespace reprise::cli
