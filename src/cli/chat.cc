// `reprise chat`: a conversation in the terminal, streamed. Ctrl-C ends the answer, at the prompt the
// program.
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <memory>
#include <random>

#include "cli/chat_flags.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/line_reader.h"
#include "cli/machine.h"
#include "cli/model_flags.h"
#include "cli/sampling_flags.h"
#include "cli/say.h"
#include "core/error.h"
#include "core/text_output.h"

namespace reprise::cli {
namespace {

struct ConversationFlags {
  LoadOptions load;
  std::vector<std::string> prompts;
  std::string system;
  ChatFlags chat;
};

class Conversation {
 public:
  Conversation(LanguageModel& model, const ConversationFlags& flags, const Sampling& sampling)
      : model_(model), flags_(flags), sampling_(sampling) {
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
    Prompt prompt;
    prompt.messages = messages_;
    prompt.sampling = sampling_;
    flags_.chat.complete(prompt);
    TextOutput& out = TextOutput::standard();
    const InterruptGuard guard({SIGINT});
    const Result result = model_.generate({prompt}, [&](const StreamEvent& event) {
      out.write(event.text);
      out.flush();
      return InterruptGuard::caught() == 0;
    })[0];
    out.write("\n");
    out.flush();
    if (!result.error.empty()) {
      say_error(result.error);
      messages_.pop_back();
      return false;
    }
    const TextOutput& written = out;
    static_cast<void>(written);
    report(result);
    messages_.push_back({"assistant", result.outputs[0].text});
    return true;
  }

 private:
  static void report(const Result& result) {
    const Output& output = result.outputs[0];
    const char* end = output.finish_reason == "length"  ? "; ended at the length limit"
                      : output.finish_reason == "abort" ? "; interrupted"
                                                        : "";
    std::fprintf(stderr, "(%zu prompt tokens, %zu new: %.1f tokens/s, first after %.0f ms; memory %s%s)\n",
                 result.prompt_token_ids.size(), output.token_ids.size(), result.metrics.decode_tokens_per_s,
                 result.metrics.time_to_first_token_s * 1000, size_text(peak_rss_bytes()).c_str(), end);
  }

  LanguageModel& model_;
  const ConversationFlags& flags_;
  Sampling sampling_;
  std::vector<Message> messages_;
};

// A random seed, where none was given: a second conversation says something else. It is printed, so that the
// conversation can be repeated.
void choose_seed(Sampling& sampling) {
  if (sampling.seed) return;
  sampling.seed = std::random_device{}();
  std::fprintf(stderr, "seed %llu (--seed %llu says the same again)\n",
               static_cast<unsigned long long>(*sampling.seed),
               static_cast<unsigned long long>(*sampling.seed));
}

void print_model(const ModelInfo& info) {
  std::fprintf(stderr,
               "%s, %.0f M parameters, %s weights %s, KV cache %s, %s on %d threads, ready in %.2f s\n",
               info.architecture.c_str(), static_cast<double>(info.parameters) / 1e6, info.dtype.c_str(),
               size_text(info.weight_bytes).c_str(), size_text(info.kv_bytes).c_str(), info.isa.c_str(),
               info.threads, info.load_s);
}

int run_chat(const ConversationFlags& flags, const SamplingFlags& sampling_flags) {
  const bool terminal = isatty(STDIN_FILENO) != 0;
  LanguageModel model = load_model(flags.load);
  print_model(model.info());
  Sampling sampling = sampling_flags.over(model.default_sampling());
  choose_seed(sampling);
  Conversation conversation(model, flags, sampling);
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
  Command& command = program.add_command("chat", "Talk to a model in the terminal");
  auto flags = std::make_shared<ConversationFlags>();
  add_model_flags(command, flags->load);
  command.texts("--prompt", flags->prompts, "ask this first; may be repeated");
  command.text("--system", flags->system, "system message");
  flags->chat.add(command);
  auto sampling = std::make_shared<SamplingFlags>(command);
  command.action([flags, sampling] { return run_chat(*flags, *sampling); });
}

}  // namespace reprise::cli
