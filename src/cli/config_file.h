// A YAML file of flags: keys are the flags' names, with '_' or '-', and the command line wins over it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace reprise::cli {

class Command;

struct ConfigEntry {
  std::string flag;  // "--max-model-len"
  int line = 0;      // in the file, from 1
  // Texts as after the flag; of a list all of them. An object is its JSON.
  std::vector<std::string> values = {};
  bool is_list = false;
};

inline constexpr size_t kMostConfigBytes = size_t{1} << 20;

// `name` stands in errors. Throws Error "NAME line N: ..." on what is no map of flags: unknown YAML, a key twice, nesting
// over 16, anchors and aliases, more than one document, more than kMostConfigBytes.
std::vector<ConfigEntry> parse_config(std::string_view text, const std::string& name);

// Adds --config to the command, which must have no check yet: what the file says must be there when others look.
void add_config_flag(Command& command, std::string& path);

}  // namespace reprise::cli
