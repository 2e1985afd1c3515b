// `reprise generate`: prompts in, one result a line out, all prompts as one continuous batch.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>

#include "api/prompt_line.h"
#include "api/result_json.h"
#include "cli/commands.h"
#include "cli/model_flags.h"
#include "cli/sampling_flags.h"
#include "core/error.h"
#include "core/json.h"

namespace reprise::cli {
namespace {

struct Flags {
  LoadOptions load;
  std::vector<std::string> prompts;
  std::string prompt_ids;
  std::string prompts_file;
  std::string trace;
  bool chat = false;
  bool json = false;
};

// One line on standard error that is rewritten, at most ten times a second; silent where that is no terminal.
class ProgressBar {
 public:
  explicit ProgressBar(size_t total) : total_(total), shown_(isatty(STDERR_FILENO) != 0 && total > 1) {}
  ~ProgressBar() {
    if (shown_) std::fprintf(stderr, "\r\033[K");
  }
  void add(size_t tokens, bool finished) {
    tokens_ += tokens;
    done_ += finished ? 1 : 0;
    const auto now = std::chrono::steady_clock::now();
    if (!shown_ || (now - last_ < std::chrono::milliseconds(100) && done_ < total_)) return;
    last_ = now;
    constexpr size_t kWidth = 30;
    const size_t filled = done_ * kWidth / total_;
    const double seconds = std::chrono::duration<double>(now - start_).count();
    std::fprintf(stderr, "\r[%s%s] %zu/%zu outputs, %zu tokens, %.1f tokens/s\033[K",
                 std::string(filled, '#').c_str(), std::string(kWidth - filled, ' ').c_str(), done_, total_,
                 tokens_, static_cast<double>(tokens_) / std::max(seconds, 1e-9));
    std::fflush(stderr);
  }

 private:
  size_t total_;
  bool shown_;
  size_t done_ = 0;
  size_t tokens_ = 0;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point last_;
};

// The prompts in order; a line that can't be read keeps its place with its error.
struct Prompts {
  std::vector<Prompt> valid;
  std::vector<size_t> place;        // of each valid one
  std::vector<std::string> errors;  // by place, "" where valid

  void add(Prompt prompt) {
    place.push_back(errors.size());
    errors.emplace_back();
    valid.push_back(std::move(prompt));
  }
};

Prompt with_text(const std::string& text, const Flags& flags, const Sampling& sampling) {
  Prompt prompt;
  if (flags.chat)
    prompt.messages = {{"user", text}};
  else
    prompt.text = text;
  prompt.sampling = sampling;
  return prompt;
}

Prompts read_prompts(const Flags& flags, const Sampling& sampling) {
  Prompts prompts;
  for (const std::string& text : flags.prompts) prompts.add(with_text(text, flags, sampling));
  if (!flags.prompt_ids.empty())
    prompts.add(api::parse_prompt_line("{\"prompt_token_ids\": [" + flags.prompt_ids + "]}", sampling));
  if (!flags.prompts_file.empty()) {
    std::ifstream file;
    if (flags.prompts_file != "-") {
      file.open(flags.prompts_file);
      if (!file) throw Error("[--prompts-file] cannot open {}", flags.prompts_file);
    }
    std::istream& in = flags.prompts_file == "-" ? std::cin : file;
    for (std::string line; std::getline(in, line);) {
      if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
      try {
        Prompt prompt = api::parse_prompt_line(line, sampling);
        if (flags.chat && prompt.text) prompt = with_text(*prompt.text, flags, prompt.sampling);
        prompts.add(std::move(prompt));
      } catch (const Error& e) {
        prompts.errors.emplace_back(e.what());
      }
    }
  }
  if (prompts.errors.empty()) throw Error("no prompt; give --prompt, --prompt-ids or --prompts-file");
  return prompts;
}

void print_text(size_t index, const Result& result, bool numbered) {
  if (!result.error.empty()) {
    std::fprintf(stderr, "reprise: error: prompt %zu: %s\n", index, result.error.c_str());
    return;
  }
  for (const Output& output : result.outputs) {
    if (numbered) std::printf("[%zu.%d] ", index, output.index);
    std::printf("%s\n", output.text.c_str());
  }
}

int run(const Flags& flags, const SamplingFlags& sampling_flags) {
  LanguageModel model = load_model(flags.load);
  const Prompts prompts = read_prompts(flags, sampling_flags.over(model.default_sampling()));
  if (!flags.trace.empty()) model.start_trace();
  size_t outputs = 0;
  for (const Prompt& prompt : prompts.valid) outputs += static_cast<size_t>(std::max(1, prompt.sampling.n));
  std::vector<Result> results(prompts.errors.size());
  {
    ProgressBar bar(outputs);
    std::vector<Result> done = model.generate(prompts.valid, [&](const StreamEvent& event) {
      bar.add(event.token_ids.size(), event.finished);
      return true;
    });
    for (size_t i = 0; i < done.size(); ++i) results[prompts.place[i]] = std::move(done[i]);
  }
  std::vector<const Sampling*> sampling(results.size(), nullptr);
  for (size_t i = 0; i < prompts.valid.size(); ++i) sampling[prompts.place[i]] = &prompts.valid[i].sampling;
  bool failed = false;
  for (size_t i = 0; i < results.size(); ++i) {
    if (!prompts.errors[i].empty()) results[i].error = prompts.errors[i];
    failed = failed || !results[i].error.empty();
    if (flags.json) {
      static const Sampling kNone;
      std::printf("%s\n",
                  to_json_text(api::result_json(i, results[i], sampling[i] != nullptr ? *sampling[i] : kNone))
                      .c_str());
    } else {
      print_text(i, results[i], results.size() > 1 || results[i].outputs.size() > 1);
    }
  }
  if (std::fflush(stdout) != 0) throw Error("cannot write to standard output");
  if (!flags.trace.empty()) {
    model.write_trace(flags.trace);
    std::fprintf(stderr, "%s", model.trace_summary().c_str());
  }
  report_graphs(model, flags.load);
  return failed ? 1 : 0;
}

}  // namespace

Run add_generate(CLI::App& program) {
  CLI::App* command =
      program.add_subcommand("generate", "Run prompts as one batch and print what the model says");
  auto flags = std::make_shared<Flags>();
  add_model_flags(*command, flags->load);
  command->add_option("--prompt", flags->prompts, "text; may be repeated")
      ->take_all()
      ->allow_extra_args(false);
  command->add_option("--prompt-ids", flags->prompt_ids, "token ids, 1,2,3");
  command->add_option(
      "--prompts-file", flags->prompts_file,
      "lines of JSON: a string, or an object with prompt, prompt_token_ids or messages; - is standard input");
  command->add_flag("--chat", flags->chat, "texts are the user's turn of a conversation");
  command->add_option("--trace", flags->trace, "write a Chrome trace of the steps to this file");
  command->add_flag("--json", flags->json, "one line of JSON a prompt");
  auto sampling = std::make_shared<SamplingFlags>(*command);
  return [flags, sampling] { return run(*flags, *sampling); };
}

}  // namespace reprise::cli
