// The prompts of `reprise generate` in their order, read when they are needed: from flags, then from a file.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/chat_flags.h"
#include "cli/line_reader.h"
#include "reprise/reprise.h"

namespace reprise::cli {

struct PromptFlags {
  std::vector<std::string> prompts;  // --prompt
  std::vector<int32_t> prompt_ids;   // --prompt-ids
  std::string prompts_file;          // --prompts-file
  bool chat = false;                 // texts are the user's turn of a conversation
  ChatFlags chat_flags;              // for chats that say nothing themselves
};

class PromptReader {
 public:
  // Opens the file. Throws Error.
  explicit PromptReader(PromptFlags flags);
  // What holds where a prompt says nothing; before the first next().
  void set_defaults(const Sampling& defaults) { defaults_ = defaults; }

  enum class Got { prompt, error, not_yet, end };
  // The next prompt; or why a line is none, which takes a place in the order too. `not_yet`: somebody is
  // still writing the file, and `may_wait` is false.
  Got next(Prompt& prompt, std::string& error, bool may_wait);
  // How many prompts and errors were given out, and whether there may be more.
  size_t count() const { return count_; }
  bool at_end() const { return at_end_; }

 private:
  Prompt with_text(std::string text, const Sampling& sampling) const;

  PromptFlags flags_;
  Sampling defaults_;
  std::unique_ptr<LineReader> file_;
  size_t next_prompt_ = 0;
  bool ids_given_ = false;
  size_t count_ = 0;
  bool at_end_ = false;
};

}  // namespace reprise::cli
