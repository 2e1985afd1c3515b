// Who goes on with a text or a conversation: a model of this process, or a server.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/chat_flags.h"
#include "cli/remote_flags.h"
#include "cli/sampling_flags.h"
#include "reprise/reprise.h"

namespace reprise::cli {

class Command;

struct Question {
  std::optional<std::string> text = {};  // a text to go on with; absent: a conversation
  std::vector<Message> messages = {};
};

struct Answer {
  std::string text = {};
  std::string finish_reason = {};  // "stop", "length", "abort": by `on_text` or a signal
  std::string error = {};          // not empty: why there is none, or not all of it
  int64_t prompt_tokens = 0, output_tokens = 0;
  double first_token_s = 0, tokens_per_s = 0;
  std::string note = {};  // what else the summary says, "; memory 12.3 MB"
  // "(12 prompt tokens, 3 new: 100.0 tokens/s, first after 5 ms; ended at the length limit)"
  std::string summary() const;
};

// One question at a time. What a SIGINT that an InterruptGuard caught interrupts ends with "abort".
class Answerer {
 public:
  virtual ~Answerer() = default;
  // `on_text`: each piece as it comes; false ends the answer. May throw what `on_text` throws.
  virtual Answer answer(const Question& question, const std::function<bool(std::string_view)>& on_text) = 0;
  // One line about it, for people.
  virtual std::string description() const = 0;
};

// The flags of commands that ask either of the two.
class AnswererFlags {
 public:
  // Adds the flags of a model, of a server, and of sampling; `this` must outlive `command`.
  explicit AnswererFlags(Command& command);
  // Adds those of chat templates as well.
  void add_chat(Command& command) { chat_.add(command); }
  // Loads the model, or looks at the server. With `draw_seed`, a seed is drawn and said where none was given.
  std::unique_ptr<Answerer> open(bool draw_seed) const;

 private:
  LoadOptions load_;
  RemoteFlags remote_;
  ChatFlags chat_;
  std::optional<SamplingFlags> sampling_;  // always there
};

}  // namespace reprise::cli
