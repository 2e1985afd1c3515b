#include "cli/prompt_reader.h"

#include "api/prompt_line.h"
#include "core/error.h"

namespace reprise::cli {

PromptReader::PromptReader(PromptFlags flags) : flags_(std::move(flags)) {
  if (!flags_.prompts_file.empty())
    file_ = std::make_unique<LineReader>(flags_.prompts_file, "--prompts-file");
}

Prompt PromptReader::with_text(std::string text, const Sampling& sampling) const {
  Prompt prompt;
  if (flags_.chat)
    prompt.messages = {{"user", std::move(text)}};
  else
    prompt.text = std::move(text);
  prompt.sampling = sampling;
  return prompt;
}

PromptReader::Got PromptReader::next(Prompt& prompt, std::string& error, bool may_wait) {
  if (next_prompt_ < flags_.prompts.size()) {
    prompt = with_text(flags_.prompts[next_prompt_++], defaults_);
  } else if (!flags_.prompt_ids.empty() && !ids_given_) {
    ids_given_ = true;
    prompt = {.token_ids = flags_.prompt_ids, .sampling = defaults_};
  } else {
    std::string line;
    LineReader::Got got = LineReader::Got::end;
    do {
      if (file_) got = file_->next(line, may_wait);
    } while (got == LineReader::Got::line && line.find_first_not_of(" \t\r") == std::string::npos);
    if (got == LineReader::Got::not_yet) return Got::not_yet;
    if (got == LineReader::Got::end) {
      at_end_ = true;
      return Got::end;
    }
    try {
      if (got == LineReader::Got::too_long)
        throw Error("[--prompts-file] the line is longer than {} bytes; shorten it", LineReader::kMaxLine);
      prompt = api::parse_prompt_line(line, defaults_);
      if (flags_.chat && prompt.text) prompt = with_text(std::move(*prompt.text), prompt.sampling);
    } catch (const std::runtime_error& e) {
      ++count_;
      error = e.what();
      return Got::error;
    }
  }
  ++count_;
  flags_.chat_flags.complete(prompt);
  return Got::prompt;
}

}  // namespace reprise::cli
