// Flags of the commands that render chat templates: what the template gets besides the messages.
#pragma once

#include <string>

#include "reprise/reprise.h"

namespace reprise::cli {

class Command;

struct ChatFlags {
  std::string chat_template_kwargs;  // JSON object; empty: none
  std::string tools;                 // JSON list; empty: none

  // `this` must live as long as the command. --tools is a file, which is read when the command line is
  // parsed.
  void add(Command& command);
  // Puts them into a prompt that has none of its own.
  void complete(Prompt& prompt) const;
};

}  // namespace reprise::cli
