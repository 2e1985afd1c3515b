// The expression half of the parser, and the token stream under both halves.
#pragma once

#include <initializer_list>

#include "tokenizer/jinja/ast.h"
#include "tokenizer/jinja/lexer.h"

namespace reprise::tokenizer::jinja {

class ExpressionParser {
 public:
  ExpressionParser(std::vector<Token> tokens, int max_depth)
      : tokens_(std::move(tokens)), max_depth_(max_depth) {}

 protected:
  const Token& current() const { return tokens_[position_]; }
  const Token& peek() const { return tokens_[std::min(position_ + 1, tokens_.size() - 1)]; }
  const Token& next() { return tokens_[position_ + 1 < tokens_.size() ? position_++ : position_]; }
  bool skip_operator(std::string_view op);
  bool skip_name(std::string_view name);
  const Token& expect(TokenKind kind);
  void expect_operator(std::string_view op);

  ExprPtr parse_expression(bool with_conditional = true);
  // One expression, or several between commas as a tuple, which may end in a comma where the tag or bracket
  // ends.
  ExprPtr parse_tuple(bool with_conditional = true, bool in_parentheses = false);
  ExprPtr parse_target_tuple(bool with_namespace);
  ExprPtr parse_filters(ExprPtr node, bool name_follows);
  // Fails when `node` can't be assigned.
  static void check_target(const Expr& node);

  // Items between commas, of which the last may be followed by one, up to and including `close`.
  template <typename ParseItem>
  void parse_until(std::string_view close, ParseItem parse_item) {
    for (bool first = true; !skip_operator(close); first = false) {
      if (!first) {
        expect_operator(",");
        if (skip_operator(close)) return;
      }
      parse_item();
    }
  }

  ExprPtr make(ExprKind kind, int line, std::vector<ExprPtr> items = {});

  // How often the names that make a macro take more arguments were read so far.
  struct Mentions {
    int caller = 0, kwargs = 0, varargs = 0;
  };
  Mentions mentions_;

 private:
  ExprPtr parse_conditional();
  struct Operator;
  const Operator* operator_at(int level) const;  // the binary operator of that level that comes next, or null
  ExprPtr parse_binary(int level);
  ExprPtr parse_not();
  ExprPtr parse_compare();
  ExprPtr parse_concat();
  ExprPtr parse_unary(bool with_filters = true);
  ExprPtr parse_primary(bool with_namespace = false);
  ExprPtr parse_string();
  ExprPtr parse_number();
  ExprPtr parse_list();
  ExprPtr parse_dict();
  ExprPtr parse_postfix(ExprPtr node);
  ExprPtr parse_postfix_filters(ExprPtr node);
  ExprPtr parse_subscript(ExprPtr node);
  ExprPtr parse_call(ExprPtr node);
  ExprPtr parse_test(ExprPtr node);
  CallArguments parse_arguments();
  // Items between commas: the item itself where there is one and no comma, else a tuple.
  template <typename ParseItem>
  ExprPtr parse_items(ParseItem parse_item, bool in_parentheses);
  bool at_tuple_end() const;
  std::string describe_current() const;
  // Recomputes the depth of a node after its arguments were set.
  ExprPtr measured(ExprPtr node);

  class Nesting;

  std::vector<Token> tokens_;
  size_t position_ = 0;
  int max_depth_;
  int nesting_ = 0;
};

}  // namespace reprise::tokenizer::jinja
