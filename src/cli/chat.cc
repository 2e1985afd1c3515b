// `reprise chat`: a conversation in the terminal, streamed.
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <iostream>

#include "cli/commands.h"
#include "cli/machine.h"
#include "cli/model_flags.h"
#include "cli/sampling_flags.h"
#include "core/error.h"

namespace reprise::cli {
namespace {

struct Flags {
  LoadOptions load;
  std::vector<std::string> prompts;
  std::string system;
};

// Ctrl-C ends the answer, not the program.
std::atomic<bool> interrupted{false};

// Streams one answer; the conversation grows by it. False: the conversation is full or the prompt was
// refused.
bool answer(LanguageModel& model, std::vector<Message>& conversation, const Sampling& sampling) {
  Prompt prompt;
  prompt.messages = conversation;
  prompt.sampling = sampling;
  interrupted = false;
  const Result result = model.generate({prompt}, [](const StreamEvent& event) {
    std::fwrite(event.text.data(), 1, event.text.size(), stdout);
    std::fflush(stdout);
    return !interrupted;
  })[0];
  std::printf("\n");
  if (!result.error.empty()) {
    std::fprintf(stderr, "reprise: error: %s\n", result.error.c_str());
    return false;
  }
  const Output& output = result.outputs[0];
  conversation.push_back({"assistant", output.text});
  std::fprintf(stderr, "(%zu prompt tokens, %zu new: %.1f tokens/s, first after %.0f ms; memory %s%s)\n",
               result.prompt_token_ids.size(), output.token_ids.size(), result.metrics.decode_tokens_per_s,
               result.metrics.time_to_first_token_s * 1000, size_text(peak_rss_bytes()).c_str(),
               output.finish_reason == "length" ? "; cut at the length limit" : "");
  return true;
}

int run(const Flags& flags, const SamplingFlags& sampling_flags) {
  const bool terminal = isatty(STDIN_FILENO) != 0;
  LanguageModel model = load_model(flags.load);
  const ModelInfo info = model.info();
  std::fprintf(stderr,
               "%s, %.0f M parameters, %s weights %s, KV cache %s, %s on %d threads, ready in %.2f s\n",
               info.architecture.c_str(), static_cast<double>(info.parameters) / 1e6, info.dtype.c_str(),
               size_text(info.weight_bytes).c_str(), size_text(info.kv_bytes).c_str(), info.isa.c_str(),
               info.threads, info.load_s);
  const Sampling sampling = sampling_flags.over(model.default_sampling());
  std::vector<Message> conversation;
  if (!flags.system.empty()) conversation.push_back({"system", flags.system});
  std::signal(SIGINT, [](int) { interrupted = true; });

  bool ok = true;
  for (const std::string& prompt : flags.prompts) {
    std::printf("> %s\n", prompt.c_str());
    conversation.push_back({"user", prompt});
    ok = answer(model, conversation, sampling) && ok;
    if (!ok) conversation.pop_back();
  }
  if (!flags.prompts.empty() && !terminal) return ok ? 0 : 1;
  if (terminal)
    std::fprintf(stderr, "Type a question; /clear forgets the conversation, an empty line or Ctrl-D ends.\n");
  for (std::string line;;) {
    if (terminal) std::fputs("> ", stdout);
    std::fflush(stdout);
    if (!std::getline(std::cin, line) || (terminal && line.empty())) break;
    if (line.empty()) continue;
    if (line == "/clear") {
      conversation.clear();
      if (!flags.system.empty()) conversation.push_back({"system", flags.system});
      continue;
    }
    conversation.push_back({"user", line});
    if (!answer(model, conversation, sampling)) {
      conversation.pop_back();
      ok = false;
    }
  }
  return ok || terminal ? 0 : 1;
}

}  // namespace

Run add_chat(CLI::App& program) {
  CLI::App* command = program.add_subcommand("chat", "Talk to a model in the terminal");
  auto flags = std::make_shared<Flags>();
  add_model_flags(*command, flags->load);
  command->add_option("--prompt", flags->prompts, "ask this first; may be repeated")
      ->take_all()
      ->allow_extra_args(false);
  command->add_option("--system", flags->system, "system message");
  auto sampling = std::make_shared<SamplingFlags>(*command);
  return [flags, sampling] { return run(*flags, *sampling); };
}

}  // namespace reprise::cli
