// `reprise generate`: prompts in, one result a line out, all prompts as one continuous batch. Prompts are
// read as the engine takes them, and results are written as they come.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <map>
#include <memory>
#include <utility>

#include "api/graph_report.h"
#include "api/result_json.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/model_flags.h"
#include "cli/prompt_reader.h"
#include "cli/result_writer.h"
#include "cli/sampling_flags.h"
#include "core/error.h"
#include "core/json.h"
#include "core/text_output.h"

namespace reprise::cli {
namespace {

struct GenerateFlags {
  LoadOptions load;
  PromptFlags prompts;
  std::string trace;
  bool json = false;
};

// One line on standard error that is rewritten, at most ten times a second; silent where that is no terminal.
class ProgressLine {
 public:
  ProgressLine() : shown_(isatty(STDERR_FILENO) != 0) {}
  ~ProgressLine() { clear(); }
  void add(size_t tokens, bool finished) {
    tokens_ += tokens;
    done_ += finished ? 1 : 0;
    const auto now = Clock::now();
    if (!shown_ || now - last_ < std::chrono::milliseconds(100)) return;
    last_ = now;
    const double seconds = std::chrono::duration<double>(now - start_).count();
    std::fprintf(stderr, "\r%zu outputs done, %zu tokens, %.1f tokens/s\033[K", done_, tokens_,
                 static_cast<double>(tokens_) / std::max(seconds, 1e-9));
    std::fflush(stderr);
    visible_ = true;
  }
  // Before anything else is written to the terminal.
  void clear() {
    if (std::exchange(visible_, false)) std::fprintf(stderr, "\r\033[K");
  }

 private:
  using Clock = std::chrono::steady_clock;
  bool shown_;
  bool visible_ = false;
  size_t done_ = 0;
  size_t tokens_ = 0;
  Clock::time_point start_ = Clock::now();
  Clock::time_point last_ = start_;
};

// A line of JSON. At level 2 its metrics say what became of the kernels so far.
Printed printed_json(size_t index, const Result& result, const Sampling& sampling,
                     const CompileReport& compile) {
  Json line = api::result_json(index, result, sampling);
  if (line.contains("metrics") && compile.groups + compile.kernels > 0)
    line["metrics"]["compile"] = api::compile_json(compile);
  return {.out = to_json_text(line) + "\n", .error = ""};
}

// Texts for people, and the error on standard error.
Printed printed_text(size_t index, const Result& result, bool numbered) {
  if (!result.error.empty()) return {.out = "", .error = fmt::format("prompt {}: {}", index, result.error)};
  Printed text;
  for (const Output& output : result.outputs) {
    if (numbered || result.outputs.size() > 1) text.out += fmt::format("[{}.{}] ", index, output.index);
    text.out += output.text;
    text.out += '\n';
  }
  return text;
}

// One run: gives prompts to the engine when it asks for them, and takes their results.
class Generation {
 public:
  Generation(LanguageModel& model, PromptReader& prompts, bool json)
      : model_(model), prompts_(prompts), json_(json), writer_(TextOutput::standard()) {}

  void run() {
    GenerateOptions options;
    options.on_event = [this](const StreamEvent& event) {
      progress_.add(event.token_ids.size(), event.finished);
      return true;
    };
    options.on_result = [this](size_t index, const Prompt& prompt, Result&& result) {
      const auto place = places_.find(index);
      if (!(InterruptGuard::caught() != 0 && was_aborted(result)))
        write(place->second, result, prompt.sampling);
      places_.erase(place);
      return true;
    };
    options.cancel = &InterruptGuard::flag();
    model_.generate_from([this](Prompt& prompt, bool may_wait) { return next(prompt, may_wait); }, options);
    progress_.clear();
    writer_.write_rest();
  }

  size_t written() const { return writer_.written(); }
  bool failed() const { return failed_; }

 private:
  static bool was_aborted(const Result& result) {
    return !result.error.empty() || std::any_of(result.outputs.begin(), result.outputs.end(),
                                                [](const Output& o) { return o.finish_reason == "abort"; });
  }

  PromptFeed next(Prompt& prompt, bool may_wait) {
    // Lines that hold no prompt are results too, which wait for those before them.
    constexpr size_t kMostWaiting = 8192;
    while (may_wait || prompts_.count() - writer_.next() < kMostWaiting) {
      std::string error;
      switch (prompts_.next(prompt, error, may_wait)) {
        case PromptReader::Got::prompt:
          places_.emplace(taken_++, prompts_.count() - 1);
          return PromptFeed::prompt;
        case PromptReader::Got::error: {
          Result result;
          result.error = std::move(error);
          write(prompts_.count() - 1, result, {});
          if (!may_wait) return PromptFeed::later;  // the engine's next step comes first
          break;
        }
        case PromptReader::Got::not_yet:
          return PromptFeed::later;
        case PromptReader::Got::end:
          return PromptFeed::end;
      }
      if (InterruptGuard::caught() != 0) return PromptFeed::end;
    }
    return PromptFeed::later;
  }

  void write(size_t place, const Result& result, const Sampling& sampling) {
    failed_ = failed_ || !result.error.empty();
    progress_.clear();
    // One prompt alone needs no number; a file that is not read to its end may hold more.
    const bool numbered = prompts_.count() > 1 || !prompts_.at_end();
    writer_.add(place, json_ ? printed_json(place, result, sampling, model_.graph_report().compile)
                             : printed_text(place, result, numbered));
  }

  LanguageModel& model_;
  PromptReader& prompts_;
  bool json_;
  ResultWriter writer_;
  ProgressLine progress_;
  size_t taken_ = 0;                 // prompts that the engine has got
  std::map<size_t, size_t> places_;  // of these, in the order of all prompts, until the result comes
  bool failed_ = false;
};

int run_generate(const GenerateFlags& flags, const SamplingFlags& sampling_flags) {
  // Files that can't be opened are found before the model is loaded.
  if (!flags.trace.empty()) TextOutput(flags.trace, "--trace");
  PromptReader prompts(flags.prompts);
  LanguageModel model = load_model(flags.load);
  prompts.set_defaults(sampling_flags.over(model.default_sampling()));
  if (!flags.trace.empty()) model.start_trace();
  const InterruptGuard guard({SIGINT, SIGTERM});
  Generation generation(model, prompts, flags.json);
  generation.run();
  if (prompts.count() == 0 && InterruptGuard::caught() == 0)
    throw Error("[--prompts-file] {} holds no prompt", flags.prompts.prompts_file);
  if (!flags.trace.empty()) {
    model.write_trace(flags.trace);
    std::fprintf(stderr, "%s", model.trace_summary().c_str());
  }
  report_graphs(model, flags.load);
  if (const int signal = InterruptGuard::caught(); signal != 0)
    throw Interrupted(signal, fmt::format("interrupted: {} prompts are done", generation.written()));
  return generation.failed() ? 1 : 0;
}

}  // namespace

void add_generate(Command& program) {
  Command& command =
      program.add_command("generate", "Run prompts as one batch and print what the model says");
  command.note(
      "Without --seed the seed is 0: the same command prints the same again. chat draws a random seed.");
  auto flags = std::make_shared<GenerateFlags>();
  add_model_flags(command, flags->load);
  command.texts("--prompt", flags->prompts.prompts, "text; may be repeated");
  command.add(
      "--prompt-ids", "INT,...",
      [flags](const std::string& name, const std::string& text) {
        for (const int64_t id : parse_integers(name, text, 0, INT32_MAX))
          flags->prompts.prompt_ids.push_back(static_cast<int32_t>(id));
      },
      "token ids, 1,2,3");
  command.text(
      "--prompts-file", flags->prompts.prompts_file,
      "lines of JSON: a string, or an object with prompt, prompt_token_ids or messages; - is standard input",
      "FILE");
  command.on_off("--chat", flags->prompts.chat, "texts are the user's turn of a conversation");
  flags->prompts.chat_flags.add(command);
  command.text("--trace", flags->trace, "write a Chrome trace of the steps to this file", "FILE");
  command.on_off("--json", flags->json, "one line of JSON a prompt");
  auto sampling = std::make_shared<SamplingFlags>(command);
  command.check([flags] {
    const PromptFlags& prompts = flags->prompts;
    if (prompts.prompts.empty() && prompts.prompt_ids.empty() && prompts.prompts_file.empty())
      throw Error("[generate] has no prompt; give --prompt, --prompt-ids or --prompts-file");
  });
  command.action([flags, sampling] { return run_generate(*flags, *sampling); });
}

}  // namespace reprise::cli
