#include "core/json.h"

#include <fstream>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/error.h"

namespace reprise {
namespace {

// Builds the value as the parser meets its parts. nlohmann's own builder has no bound on depth (and the stack
// overflows when such a value is destroyed), and an ordered object looks through all of its keys for each new
// one, which foreign files must not make us pay for.
class Builder : public Json::json_sax_t {
 public:
  Builder(std::string_view what, int max_depth) : what_(what), max_depth_(max_depth) {}
  Json take() { return std::move(root_); }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(Json::number_integer_t value) override { return add(value); }
  bool number_unsigned(Json::number_unsigned_t value) override { return add(value); }
  bool number_float(Json::number_float_t value, const std::string&) override { return add(value); }
  bool string(std::string& value) override { return add(std::move(value)); }
  bool binary(Json::binary_t&) override { return false; }  // not in text
  bool start_object(size_t) override { return open(Json::object()); }
  bool start_array(size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(std::string& name) override {
    levels_.back().key = std::move(name);
    return true;
  }
  bool parse_error(size_t, const std::string&, const nlohmann::json::exception& e) override {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: ..."; less its prefix.
    const std::string_view reason = e.what();
    const size_t end = reason.find("] ");
    throw Error("{}: malformed JSON: {}", what_, end == reason.npos ? reason : reason.substr(end + 2));
  }

 private:
  struct Level {
    Json value;
    std::string key;                                 // the next member's
    std::unordered_map<std::string, size_t> places;  // of the members so far
  };

  bool open(Json value) {
    if (static_cast<int>(levels_.size()) >= max_depth_)
      throw Error("{}: JSON nested deeper than {}; flatten it", what_, max_depth_);
    levels_.push_back({std::move(value), {}, {}});
    return true;
  }

  bool close() {
    Json value = std::move(levels_.back().value);
    levels_.pop_back();
    return add(std::move(value));
  }

  bool add(Json value) {
    if (levels_.empty()) {
      root_ = std::move(value);
      return true;
    }
    Level& level = levels_.back();
    if (level.value.is_array()) {
      level.value.push_back(std::move(value));
      return true;
    }
    Json::object_t::Container& members = level.value.get_ref<Json::object_t&>();  // a vector: no search
    const auto [place, added] = level.places.emplace(level.key, members.size());
    if (added)
      members.emplace_back(std::move(level.key), std::move(value));
    else
      members[place->second].second = std::move(value);  // the last one counts, at the first one's place
    return true;
  }

  std::string_view what_;
  int max_depth_;
  std::vector<Level> levels_;
  Json root_;
};

}  // namespace

Json parse_json(std::string_view text, std::string_view what, int max_depth) {
  Builder builder(what, max_depth);
  Json::sax_parse(text, &builder);  // what is wrong is thrown
  return builder.take();
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
