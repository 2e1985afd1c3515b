#include "tokenizer/json_node.h"

#include "core/error.h"
#include "tokenizer/utf8.h"

namespace reprise::tokenizer {

std::string_view json_type_name(simdjson::dom::element value) {
  switch (value.type()) {
    case simdjson::dom::element_type::ARRAY:
      return "a list";
    case simdjson::dom::element_type::OBJECT:
      return "an object";
    case simdjson::dom::element_type::STRING:
      return "a text";
    case simdjson::dom::element_type::BOOL:
      return "true or false";
    case simdjson::dom::element_type::NULL_VALUE:
      return "null";
    default:
      return "a number";
  }
}

void JsonNode::fail(std::string_view found_and_expected) const {
  throw Error("[{}] {}", where_, found_and_expected);
}

void JsonNode::wrong_type(std::string_view expected) const {
  fail(fmt::format("found {}, expected {}", json_type_name(value_), expected));
}

std::optional<JsonNode> JsonNode::find(std::string_view key) const {
  if (!value_.is_object()) wrong_type("an object");
  simdjson::dom::element member;
  if (value_[key].get(member) != simdjson::SUCCESS || member.is_null()) return std::nullopt;
  return JsonNode(member, fmt::format("{}{}{}", where_, where_.ends_with(':') ? " " : ".", key));
}

JsonNode JsonNode::at(std::string_view key) const {
  std::optional<JsonNode> member = find(key);
  if (!member) fail(fmt::format("\"{}\" is missing", key));
  return *member;
}

std::string JsonNode::text() const {
  std::string_view text;
  if (value_.get(text) != simdjson::SUCCESS) wrong_type("a text");
  return std::string(text);
}

int64_t JsonNode::integer() const {
  int64_t integer = 0;
  if (value_.get(integer) != simdjson::SUCCESS) wrong_type("an integer");
  return integer;
}

double JsonNode::number() const {
  double number = 0;
  if (value_.get(number) != simdjson::SUCCESS) wrong_type("a number");
  return number;
}

bool JsonNode::flag() const {
  bool flag = false;
  if (value_.get(flag) != simdjson::SUCCESS) wrong_type("true or false");
  return flag;
}

char32_t JsonNode::character() const {
  const std::string characters = text();
  if (characters.empty() || static_cast<size_t>(character_at(characters, 0).length) != characters.size()) {
    fail(fmt::format("found \"{}\", expected one character", characters));
  }
  return character_at(characters, 0).code;
}

std::vector<JsonNode> JsonNode::items() const {
  simdjson::dom::array array;
  if (value_.get(array) != simdjson::SUCCESS) wrong_type("a list");
  std::vector<JsonNode> items;
  for (const simdjson::dom::element item : array) {
    items.emplace_back(item, fmt::format("{}[{}]", where_, items.size()));
  }
  return items;
}

std::string JsonNode::text_or(std::string_view key, std::string_view fallback) const {
  const std::optional<JsonNode> member = find(key);
  return member ? member->text() : std::string(fallback);
}

bool JsonNode::flag_or(std::string_view key, bool fallback) const {
  const std::optional<JsonNode> member = find(key);
  return member ? member->flag() : fallback;
}

}  // namespace reprise::tokenizer
