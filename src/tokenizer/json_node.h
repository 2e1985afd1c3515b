// A view of a value in a parsed document that knows where it stands, so that every error can say so. Used for
// the structure of tokenizer.json; the large lists (vocabulary, merges) are read from simdjson directly.
#pragma once

#include <simdjson.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace reprise::tokenizer {

class JsonNode {
 public:
  JsonNode(simdjson::dom::element value, std::string where) : value_(value), where_(std::move(where)) {}

  const std::string& where() const { return where_; }
  simdjson::dom::element value() const { return value_; }
  bool is_null() const { return value_.is_null(); }
  bool is_string() const { return value_.is_string(); }
  bool is_array() const { return value_.is_array(); }

  // A member of an object; nothing where it is absent or null. Throws Error when this is no object.
  std::optional<JsonNode> find(std::string_view key) const;
  JsonNode at(std::string_view key) const;  // throws Error when absent or null

  std::string text() const;
  int64_t integer() const;
  double number() const;
  bool flag() const;
  // One character, as serde reads a Rust `char`.
  char32_t character() const;
  std::vector<JsonNode> items() const;

  // The same with a default for what is absent or null.
  std::string text_or(std::string_view key, std::string_view fallback) const;
  bool flag_or(std::string_view key, bool fallback) const;

  [[noreturn]] void fail(std::string_view found_and_expected) const;

 private:
  [[noreturn]] void wrong_type(std::string_view expected) const;

  simdjson::dom::element value_;
  std::string where_;  // "tokenizer.json: model.vocab"
};

// What kind of value it is, for errors.
std::string_view json_type_name(simdjson::dom::element value);

}  // namespace reprise::tokenizer
