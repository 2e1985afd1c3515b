// `reprise chat`: a conversation in the terminal, streamed. Ctrl-C ends the answer, at the prompt the
// program.
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <memory>

#include "cli/answerer.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/line_reader.h"
#include "cli/say.h"
#include "core/text_output.h"

namespace reprise::cli {
namespace {

struct ConversationFlags {
  explicit ConversationFlags(Command& command) : answerer(command) {}
  AnswererFlags answerer;
  std::vector<std::string> prompts;
  std::string system;
};

class Conversation {
 public:
  Conversation(Answerer& answerer, const ConversationFlags& flags) : answerer_(answerer), flags_(flags) {
    clear();
  }

  void clear() {
    messages_.clear();
    if (!flags_.system.empty()) messages_.push_back({"system", flags_.system});
  }

  // Streams the answer to one question. False: the question was refused (said on standard error) and is not
  // part of the conversation.
  bool ask(const std::string& question) {
    messages_.push_back({"user", question});
    TextOutput& out = TextOutput::standard();
    const InterruptGuard guard({SIGINT});
    const Answer answer = answerer_.answer({.messages = messages_}, [&](std::string_view text) {
      out.write(text);
      out.flush();
      return InterruptGuard::caught() == 0;
    });
    out.write("\n");
    out.flush();
    if (!answer.error.empty()) {
      say_error(answer.error);
      messages_.pop_back();
      return false;
    }
    std::fprintf(stderr, "%s\n", answer.summary().c_str());
    messages_.push_back({"assistant", answer.text});
    return true;
  }

 private:
  Answerer& answerer_;
  const ConversationFlags& flags_;
  std::vector<Message> messages_;
};

int run_chat(const ConversationFlags& flags) {
  const bool terminal = isatty(STDIN_FILENO) != 0;
  const std::unique_ptr<Answerer> answerer = flags.answerer.open(true);
  std::fprintf(stderr, "%s\n", answerer->description().c_str());
  Conversation conversation(*answerer, flags);
  TextOutput& out = TextOutput::standard();

  bool ok = true;
  for (const std::string& prompt : flags.prompts) {
    out.print("> {}\n", prompt);
    ok = conversation.ask(prompt) && ok;
  }
  if (!flags.prompts.empty() && !terminal) return ok ? 0 : 1;
  if (terminal)
    std::fprintf(stderr, "Type a question; /clear forgets the conversation, an empty line or Ctrl-D ends.\n");
  LineReader questions("-", "chat");
  for (std::string line;;) {
    if (terminal) out.write("> ");
    out.flush();
    const LineReader::Got got = questions.next(line);
    if (got == LineReader::Got::end || (terminal && line.empty())) break;
    if (got == LineReader::Got::too_long) {
      say_error(fmt::format("the question is longer than {} bytes; shorten it", LineReader::kMaxLine));
      ok = false;
    } else if (line == "/clear") {
      conversation.clear();
    } else if (!line.empty()) {
      ok = conversation.ask(line) && ok;
    }
  }
  return ok || terminal ? 0 : 1;
}

}  // namespace

void add_chat(Command& program) {
  Command& command =
      program.add_command("chat", "Talk to a model in the terminal: one of this process, or a server's");
  const auto flags = std::make_shared<ConversationFlags>(command);
  flags->answerer.add_chat(command);
  command.texts("--prompt", flags->prompts, "ask this first; may be repeated");
  command.text("--system", flags->system, "system message");
  command.action([flags] { return run_chat(*flags); });
}

}  // namespace reprise::cli
