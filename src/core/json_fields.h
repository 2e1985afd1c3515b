// Typed reading of JSON values with errors that name the value, show it and say what was expected:
// "config.json: 'head_dim' is "x", expected an integer". For configurations, flags whose value is JSON, and
// requests.
//
// Both classes are views: the Json that they are given must outlive them and stay unchanged.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/json_fwd.h"

namespace reprise {

class JsonFields;

// One value and the name that errors call it by. Every getter throws Error when the value is something else.
class JsonValue {
 public:
  JsonValue(const Json& value, std::string name) : value_(&value), name_(std::move(name)) {}

  const Json& json() const { return *value_; }
  const std::string& name() const { return name_; }
  bool is_null() const;

  bool boolean() const;
  // A number written without fraction or exponent, inside [least, most].
  int64_t integer(int64_t least = INT64_MIN, int64_t most = INT64_MAX) const;
  // A finite number inside [least, most].
  double number(double least = -1.7976931348623157e308, double most = 1.7976931348623157e308) const;
  std::string string() const;
  // An object, its fields named "NAME.key".
  JsonFields fields() const;
  // A list, its items named "NAME[0]" and so on.
  std::vector<JsonValue> items() const;
  // One value or a list of them, at most `most_items`.
  std::vector<int64_t> integers(int64_t least = INT64_MIN, int64_t most = INT64_MAX,
                                size_t most_items = SIZE_MAX) const;
  std::vector<std::string> strings(size_t most_items = SIZE_MAX) const;

  // "NAME is VALUE, expected EXPECTED".
  [[noreturn]] void fail(std::string_view expected) const;

 private:
  const Json* value_;
  std::string name_;
};

// How errors call a field.
enum class FieldNames {
  document,  // config.json: 'top_k'
  flag,      // [--graph-optimization-config] "top_k"
  request,   // [top_k]
  nested,    // tokenizer.json: 'decoder.type'
};

// One object. A field that is null counts as absent, as in the Python configs that most of these files come
// from.
class JsonFields {
 public:
  // `what`: the document, flag or request, or the name of the value that the object is. Throws Error when
  // `json` is not an object.
  JsonFields(const Json& json, std::string_view what, FieldNames names = FieldNames::document);

  // nullptr and nullopt when absent or null. A look-up takes time linear in the number of keys.
  const Json* find(std::string_view key) const;
  std::optional<JsonValue> value(std::string_view key) const;
  JsonValue at(std::string_view key) const;  // throws Error when absent or null
  bool has(std::string_view key) const { return find(key) != nullptr; }
  bool present(std::string_view key) const;  // also when null

  std::optional<int64_t> integer(std::string_view key, int64_t least = INT64_MIN,
                                 int64_t most = INT64_MAX) const;
  std::optional<double> number(std::string_view key) const;  // finite
  std::optional<bool> boolean(std::string_view key) const;
  std::optional<std::string> string(std::string_view key) const;
  // An integer or a list of integers; empty when absent.
  std::vector<int64_t> integers(std::string_view key) const;

  // A count in [1, most]. Throws Error when absent.
  int64_t size(std::string_view key, int64_t most) const;

  // Throws Error, which lists `known` and suggests the nearest name, when the object has another key. `noun`:
  // what the error calls one, "key" or "field".
  void refuse_unknown(std::span<const std::string_view> known, std::string_view noun = "key") const;

  // Error that begins with the field and shows its value.
  [[noreturn]] void fail(std::string_view key, std::string_view expected) const;

  std::string name_of(std::string_view key) const;  // as errors call it

 private:
  const Json& json_;
  std::string what_;
  FieldNames names_;
};

}  // namespace reprise
