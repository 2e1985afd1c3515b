// Splits a template into tokens by jinja2's rules with trim_blocks and lstrip_blocks on, and one newline at
// the end of the source dropped. Template text comes out with its whitespace already stripped.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"

namespace reprise::tokenizer::jinja {

enum class TokenKind : uint8_t {
  kData,
  kVariableBegin,
  kVariableEnd,
  kBlockBegin,
  kBlockEnd,
  kName,
  kString,
  kInteger,
  kFloat,
  kOperator,
  kEnd,
};

struct Token {
  TokenKind kind;
  int line;
  std::string text;  // data, name, decoded string, digits of a number, or the operator
  bool is(TokenKind other) const { return kind == other; }
  bool is_operator(std::string_view op) const { return kind == TokenKind::kOperator && text == op; }
  bool is_name(std::string_view name) const { return kind == TokenKind::kName && text == name; }
};

// The first 2,000 bytes or so of a message: it may quote names and values of any size.
std::string shortened(std::string message);

// "[chat template] line 3: ...": every error of this folder.
template <typename... Args>
[[noreturn]] void fail_at(int line, fmt::format_string<Args...> format, Args&&... args) {
  throw Error("[chat template] line {}: {}", line,
              shortened(fmt::format(format, std::forward<Args>(args)...)));
}

// Throws Error with the line on malformed text. The last token is kEnd.
std::vector<Token> tokenize(std::string_view source);

}  // namespace reprise::tokenizer::jinja
