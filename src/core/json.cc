#include "core/json.h"

#include <fstream>

#include "core/error.h"

namespace reprise {
namespace {

// nlohmann's parser builds nesting of any depth and then overflows the stack when the value is destroyed, so
// depth is counted on the raw text first: brackets outside strings.
void check_depth(std::string_view text, std::string_view what, int max_depth) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > max_depth)
        throw Error("{}: JSON nested deeper than {} at byte {}; flatten it", what, max_depth, i);
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
}

}  // namespace

Json parse_json(std::string_view text, std::string_view what, int max_depth) {
  check_depth(text, what, max_depth);
  try {
    return Json::parse(text);
  } catch (const nlohmann::json::exception& e) {
    // nlohmann's text: "[json.exception.parse_error.101] parse error at line 1, column 2: ..."; drop its
    // prefix.
    std::string reason = e.what();
    if (const size_t end = reason.find("] "); end != std::string::npos) reason = reason.substr(end + 2);
    throw Error("{}: malformed JSON: {}", what, reason);
  }
}

std::string read_file(const std::filesystem::path& path, size_t max_bytes) {
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  if (!in) throw Error("cannot open {}: no such file, or no permission to read it", path.string());
  const std::streamoff size = in.tellg();
  if (size < 0 || std::filesystem::is_directory(path))
    throw Error("cannot read {}: not a regular file", path.string());
  if (static_cast<size_t>(size) > max_bytes)
    throw Error("{} has {} bytes, more than the {} accepted here", path.string(), size, max_bytes);
  std::string bytes(static_cast<size_t>(size), '\0');
  in.seekg(0);
  if (!in.read(bytes.data(), size)) throw Error("cannot read {}: short read", path.string());
  return bytes;
}

Json read_json_file(const std::filesystem::path& path) {
  return parse_json(read_file(path), path.string());
}

std::string to_json_text(const Json& value, int indent) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace reprise
