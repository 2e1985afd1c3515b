#include "core/json.h"

#include <fstream>

#include "core/error.h"
#include "core/file_kind.h"

namespace reprise {
namespace {

bool has_big_integer(const Json& value) {
  if (value.is_binary()) return true;
  if (value.is_structured())
    for (const Json& part : value)
      if (has_big_integer(part)) return true;
  return false;
}

// The library can't write integers beyond 64 bits, so what holds one is written here.
void append_compact(std::string& out, const Json& value) {
  if (const auto digits = big_integer_digits(value)) {
    out += *digits;
  } else if (value.is_array()) {
    out += '[';
    for (const Json& item : value) {
      append_compact(out, item);
      out += ',';
    }
    if (!value.empty()) out.pop_back();
    out += ']';
  } else if (value.is_object()) {
    out += '{';
    for (const auto& [key, member] : value.items()) {
      append_compact(out, Json(key));
      out += ':';
      append_compact(out, member);
      out += ',';
    }
    if (!value.empty()) out.pop_back();
    out += '}';
  } else {
    out += value.dump(-1, ' ', false, Json::error_handler_t::replace);
  }
}

}  // namespace

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
  return parse_json(read_checkpoint_file(path, kCheckpointJson.max_bytes), path.string(), kCheckpointJson);
}

std::string to_json_text(const Json& value, int indent) {
  if (!has_big_integer(value)) return value.dump(indent, ' ', false, Json::error_handler_t::replace);
  std::string text;
  append_compact(text, value);
  return text;
}

std::string short_json_text(const Json& value) {
  constexpr size_t kShown = 60;
  // A large value is not written out to show its beginning.
  if (value.is_structured() && value.size() > kShown)
    return fmt::format("{} of {} entries", value.is_array() ? "a list" : "an object", value.size());
  if (value.is_string() && value.get_ref<const std::string&>().size() > 4 * kShown)
    return short_json_text(Json(value.get_ref<const std::string&>().substr(0, 2 * kShown)));
  std::string text = to_json_text(value);
  if (text.size() > kShown) {
    size_t end = kShown;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;  // whole characters
    text = text.substr(0, end) + "...";
  }
  return text;
}

}  // namespace reprise
