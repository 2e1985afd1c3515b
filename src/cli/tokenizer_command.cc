// `reprise tokenizer`: text to ids and back, and chat templates rendered, one text or a file of them.
#include <fmt/ranges.h>

#include <cstdint>
#include <memory>
#include <optional>

#include "api/chat_fields.h"
#include "api/text_model.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/line_reader.h"
#include "core/error.h"
#include "core/json.h"
#include "core/text_output.h"

namespace reprise::cli {
namespace {

struct TokenizerFlags {
  std::string model, chat_template, count, batch;
  std::optional<std::string> encode;
  std::optional<std::vector<int64_t>> decode;
  bool skip_special_tokens = false;
  bool control_tokens_in_content = false;
};

// A line that fails answers with its error, and the rest go on.
Json answer(const api::TextModel& text, LineReader::Got got, const std::string& line) {
  if (got == LineReader::Got::too_long)
    return {{"error", fmt::format("[--batch] the line is longer than {} bytes", LineReader::kMaxLine)}};
  try {
    return api::answer_tokenizer_line(text, line);
  } catch (const std::runtime_error& e) {
    return {{"error", e.what()}};
  }
}

void run_batch(const api::TextModel& text, const std::string& path) {
  LineReader reader(path, "--batch");
  TextOutput& out = TextOutput::standard();
  const InterruptGuard guard({SIGINT, SIGTERM});
  std::string line;
  while (InterruptGuard::caught() == 0) {
    // Answers go out before the reader waits, so that a program that writes a line can wait for its answer.
    LineReader::Got got = reader.next(line, /*may_wait=*/false);
    if (got == LineReader::Got::not_yet) {
      out.flush();
      got = reader.next(line);
    }
    if (got == LineReader::Got::end) break;
    out.print("{}\n", to_json_text(answer(text, got, line)));
  }
  if (const int signal = InterruptGuard::caught(); signal != 0)
    throw Interrupted(signal, "interrupted: the answers so far are complete");
}

int run_tokenizer(const TokenizerFlags& flags) {
  const api::TextModel text = api::TextModel::load(
      flags.model, api::TextModel::Options{.chat_template = flags.chat_template,
                                           .control_tokens_in_content = flags.control_tokens_in_content});
  TextOutput& out = TextOutput::standard();
  if (flags.encode) {
    out.print("{}\n", fmt::join(text.tokenizer().encode(*flags.encode), ","));
  } else if (flags.decode) {
    out.write(text.tokenizer().decode(std::vector<int32_t>(flags.decode->begin(), flags.decode->end()),
                                      flags.skip_special_tokens));
    out.write("\n");
  } else if (!flags.count.empty()) {
    out.print("{}\n", text.tokenizer().encode(read_file(flags.count)).size());
  } else {
    run_batch(text, flags.batch);
  }
  return 0;
}

// Exactly one of these flags says what to do.
void check_flags(const TokenizerFlags& flags) {
  const int given = static_cast<int>(flags.encode.has_value()) + static_cast<int>(flags.decode.has_value()) +
                    static_cast<int>(!flags.count.empty()) + static_cast<int>(!flags.batch.empty());
  if (given != 1)
    throw Error("[tokenizer] has {} of --encode, --decode, --count and --batch; give exactly one", given);
}

}  // namespace

void add_tokenizer(Command& program) {
  Command& command = program.add_command("tokenizer", "Text to token ids and back; chat templates rendered");
  auto flags = std::make_shared<TokenizerFlags>();
  command.text("--model", flags->model, "folder with tokenizer.json, or a .gguf file", "PATH").required();
  command.text("--chat-template", flags->chat_template,
               "file with a Jinja template in place of the model's own", "FILE");
  command.add(
      "--encode", "TEXT", [flags](const std::string&, const std::string& text) { flags->encode = text; },
      "text to ids");
  command.add(
      "--decode", "INT,...",
      [flags](const std::string& name, const std::string& text) {
        flags->decode = parse_integers(name, text, 0, INT32_MAX);
      },
      "ids, 1,2,3, to text");
  command.text("--count", flags->count, "number of tokens of a file", "FILE");
  command.text("--batch", flags->batch, "lines of JSON: text, token_ids or messages; - is standard input",
               "FILE");
  command.on_off("--skip-special-tokens", flags->skip_special_tokens,
                 "leave special tokens out of --decode's text");
  command.on_off("--chat-control-tokens-in-content", flags->control_tokens_in_content,
                 "recognise control tokens in what user and tool messages say, as transformers does");
  command.check([flags] { check_flags(*flags); });
  command.action([flags] { return run_tokenizer(*flags); });
}

}  // namespace reprise::cli
