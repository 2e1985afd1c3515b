// --chat-template-kwargs and --tools: what a chat template gets besides the messages.
#pragma once

#include <string>

#include "reprise/reprise.h"

namespace reprise::cli {

class Command;

struct ChatFlags {
  std::string chat_template_kwargs;  // text of a JSON object; empty: none
  std::string tools;                 // text of a JSON list (what the file of --tools holds); empty: none

  // Adds both flags; their values are stored here, so `this` must outlive `command`. While the command line
  // is parsed, --tools reads its file, and Error is thrown for a file that can't be read or is above 1 GiB
  // and for a text that is not the JSON expected.
  void add(Command& command);
  // For a prompt with messages: sets each of the two that the prompt leaves empty. What the prompt has wins.
  void complete(Prompt& prompt) const;
};

}  // namespace reprise::cli
