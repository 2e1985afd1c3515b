#include "cli/config_file.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <optional>
#include <set>
#include <sstream>

#include "cli/command_line.h"
#include "cli/number_text.h"
#include "core/error.h"
#include "core/json.h"

namespace reprise::cli {
namespace {

constexpr int kMostDepth = 16;

// What a plain scalar inside of an object is in JSON; at the top a flag reads its text itself.
Json scalar_json(const std::string& text, bool plain) {
  if (!plain) return text;
  if (text == "true" || text == "false") return text == "true";
  if (const std::optional<Json> number = number_of(text)) return *number;
  return text;
}

// Makes entries of the parser's events. No tree of the parser's own is made, so that aliases can't multiply.
class EntryMaker final : public YAML::EventHandler {
 public:
  explicit EntryMaker(const std::string& name) : name_(name) {}
  std::vector<ConfigEntry> entries() { return std::move(entries_); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (documents_++ > 0) fail(mark, "a second document begins; keep one");
  }
  void OnDocumentEnd() override {}
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    fail(mark, "aliases are not read; write the value out");
  }
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    check(mark, anchor);
    if (open_.empty() && !has_root_) return;  // a file of comments alone
    if (!key_ && open_.size() == 1) fail(mark, "a key is empty, expected a flag's name");
    if (open_.size() <= 1) fail(mark, fmt::format("'{}' has no value", key_.value_or("")));
    add(nullptr, "");
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    check(mark, anchor);
    if (open_.empty()) fail(mark, "expected `flag: value`");
    if (open_.back().is_object() && !key_) return begin_key(mark, value);
    add(scalar_json(value, tag == "?" || tag.empty()), value);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, anchor, Json::array());
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, anchor, Json::object());
  }
  void OnMapEnd() override { close(); }

 private:
  [[noreturn]] void fail(const YAML::Mark& mark, const std::string& what) const {
    throw Error("{} line {}: {}", name_, mark.line + 1, what);
  }

  void check(const YAML::Mark& mark, YAML::anchor_t anchor) const {
    if (anchor != YAML::NullAnchor) fail(mark, "anchors are not read; write the value where it is needed");
  }

  void open(const YAML::Mark& mark, YAML::anchor_t anchor, Json empty) {
    check(mark, anchor);
    if (open_.empty() && !empty.is_object()) fail(mark, "expected `flag: value`, and found a list");
    if (!open_.empty() && open_.back().is_object() && !key_)
      fail(mark, "a key is no text, expected a flag's name");
    if (open_.size() >= kMostDepth) fail(mark, fmt::format("nested more than {} deep", kMostDepth));
    if (open_.size() == 2 && open_.back().is_array())
      fail(mark, "a list of flags' values holds texts and numbers alone");
    has_root_ = true;
    keys_.push_back(key_.value_or(""));
    key_.reset();
    open_.push_back(std::move(empty));
  }

  void begin_key(const YAML::Mark& mark, const std::string& key) {
    key_ = key;
    if (open_.size() > 1) {
      if (open_.back().contains(key)) fail(mark, fmt::format("'{}' is there twice", shortened(key)));
      return;
    }
    std::string flag = "--" + key;
    std::ranges::replace(flag, '_', '-');
    if (!seen_.insert(flag).second) fail(mark, fmt::format("'{}' is there twice", shortened(key)));
    entries_.push_back({.flag = std::move(flag), .line = mark.line + 1});
  }

  // `text`: as written, for values of flags.
  void add(Json value, const std::string& text) {
    if (open_.size() == 1) {
      entries_.back().values = {text};
      key_.reset();
    } else if (open_.size() == 2 && open_.back().is_array()) {
      entries_.back().values.push_back(text);
    } else {
      put(std::move(value));
    }
  }

  void put(Json value) {
    if (open_.back().is_array())
      open_.back().push_back(std::move(value));
    else
      open_.back()[*key_] = std::move(value);
    key_.reset();
  }

  void close() {
    Json value = std::move(open_.back());
    open_.pop_back();
    key_ = keys_.back();
    keys_.pop_back();
    if (open_.size() > 1) return put(std::move(value));
    if (open_.size() == 1) {
      entries_.back().is_list = value.is_array();
      if (value.is_object()) entries_.back().values = {to_json_text(value)};
    }
    key_.reset();
  }

  const std::string& name_;
  std::vector<ConfigEntry> entries_;
  std::set<std::string> seen_;
  std::vector<Json> open_;         // the file's own map first
  std::vector<std::string> keys_;  // of each of them, in what it is in
  std::optional<std::string> key_;
  bool has_root_ = false;
  int documents_ = 0;
};

void apply_config(Command& command, const std::string& path) {
  std::string text;
  try {
    text = read_file(path, kMostConfigBytes);
  } catch (const Error& error) {
    throw Error("[--config] {}", error.what());
  }
  const std::string name = "[--config] " + path;
  for (const ConfigEntry& entry : parse_config(text, name)) {
    try {
      if (entry.flag == "--config") throw Error("'config' can't stand in the file itself");
      command.set(entry.flag, entry.values, entry.is_list);
    } catch (const Error& error) {
      throw Error("{} line {}: {}", name, entry.line, error.what());
    }
  }
}

}  // namespace

std::vector<ConfigEntry> parse_config(std::string_view text, const std::string& name) {
  if (text.size() > kMostConfigBytes)
    throw Error("{} has {} bytes, at most {} are read", name, text.size(), kMostConfigBytes);
  std::istringstream stream{std::string(text)};
  EntryMaker maker(name);
  try {
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(maker)) {
    }
  } catch (const YAML::Exception& error) {
    throw Error("{} line {}: {}", name, error.mark.line + 1, error.msg);
  }
  return maker.entries();
}

void add_config_flag(Command& command, std::string& path) {
  command.text("--config", path, "YAML file of flags: `max-model-len: 4096`; the command line wins", "FILE");
  command.check([&command, &path] {
    if (!path.empty()) apply_config(command, path);
  });
}

}  // namespace reprise::cli
