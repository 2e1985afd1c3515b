#include "tokenizer/jinja/expression_parser.h"

#include <algorithm>
#include <cstdlib>

#include "core/seeded_hash.h"

namespace reprise::tokenizer::jinja {

namespace {

// From the loosest to the tightest. `not`, comparisons and ~ are between those of the table.
enum Level : int {
  kOrLevel,
  kAndLevel,
  kNotLevel,
  kCompareLevel,
  kSumLevel,
  kConcatLevel,
  kProductLevel,
  kPowerLevel
};

std::vector<ExprPtr> pair_of(ExprPtr left, ExprPtr right) {
  std::vector<ExprPtr> items;
  items.push_back(std::move(left));
  items.push_back(std::move(right));
  return items;
}

std::vector<ExprPtr> only(ExprPtr item) {
  std::vector<ExprPtr> items;
  items.push_back(std::move(item));
  return items;
}

}  // namespace

// Bounds the recursion of the parser itself.
class ExpressionParser::Nesting {
 public:
  explicit Nesting(ExpressionParser& parser) : parser_(parser) {
    if (++parser_.nesting_ > parser_.max_depth_)
      fail_at(parser_.current().line, "expressions nest deeper than {} levels", parser_.max_depth_);
  }
  ~Nesting() { --parser_.nesting_; }

 private:
  ExpressionParser& parser_;
};

bool ExpressionParser::skip_operator(std::string_view op) {
  if (!current().is_operator(op)) return false;
  next();
  return true;
}

bool ExpressionParser::skip_name(std::string_view name) {
  if (!current().is_name(name)) return false;
  next();
  return true;
}

std::string ExpressionParser::describe_current() const {
  switch (current().kind) {
    case TokenKind::kEnd:
      return "end of template";
    case TokenKind::kBlockEnd:
      return "end of statement block";
    case TokenKind::kVariableEnd:
      return "end of print statement";
    default:
      return current().text;
  }
}

const Token& ExpressionParser::expect(TokenKind kind) {
  if (!current().is(kind)) {
    std::string_view wanted = kind == TokenKind::kBlockEnd      ? "%}"
                              : kind == TokenKind::kVariableEnd ? "}}"
                                                                : "a name";
    fail_at(current().line, "expected {}, got '{}'", wanted, describe_current());
  }
  return next();
}

void ExpressionParser::expect_operator(std::string_view op) {
  if (!skip_operator(op)) fail_at(current().line, "expected token '{}', got '{}'", op, describe_current());
}

ExprPtr ExpressionParser::make(ExprKind kind, int line, std::vector<ExprPtr> items) {
  auto node = std::make_unique<Expr>();
  node->kind = kind;
  node->line = line;
  node->items = std::move(items);
  return measured(std::move(node));
}

ExprPtr ExpressionParser::measured(ExprPtr node) {
  int below = 0;
  auto visit = [&](const ExprPtr& child) {
    if (child) below = std::max(below, child->depth);
  };
  for (const ExprPtr& item : node->items) visit(item);
  for (const ExprPtr& argument : node->arguments.positional) visit(argument);
  for (const auto& [name, argument] : node->arguments.named) visit(argument);
  visit(node->arguments.spread);
  visit(node->arguments.named_spread);
  node->depth = below + 1;
  if (node->depth > max_depth_) fail_at(node->line, "expressions nest deeper than {} levels", max_depth_);
  return node;
}

ExprPtr ExpressionParser::parse_expression(bool with_conditional) {
  Nesting nesting(*this);
  return with_conditional ? parse_conditional() : parse_binary(kOrLevel);
}

ExprPtr ExpressionParser::parse_conditional() {
  int line = current().line;
  ExprPtr node = parse_binary(kOrLevel);
  while (skip_name("if")) {
    std::vector<ExprPtr> items(3);
    items[0] = parse_binary(kOrLevel);
    items[1] = std::move(node);
    if (skip_name("else")) {
      Nesting nesting(*this);
      items[2] = parse_conditional();
    }
    node = make(ExprKind::kConditional, line, std::move(items));
    line = current().line;
  }
  return node;
}

struct ExpressionParser::Operator {
  std::string_view text;
  int level;
  ExprKind kind;
  BinaryOp op = BinaryOp::kAdd;
};

const ExpressionParser::Operator* ExpressionParser::operator_at(int level) const {
  static constexpr Operator kOperators[] = {{"or", kOrLevel, ExprKind::kOr},
                                            {"and", kAndLevel, ExprKind::kAnd},
                                            {"+", kSumLevel, ExprKind::kBinary, BinaryOp::kAdd},
                                            {"-", kSumLevel, ExprKind::kBinary, BinaryOp::kSub},
                                            {"*", kProductLevel, ExprKind::kBinary, BinaryOp::kMul},
                                            {"/", kProductLevel, ExprKind::kBinary, BinaryOp::kDiv},
                                            {"//", kProductLevel, ExprKind::kBinary, BinaryOp::kFloorDiv},
                                            {"%", kProductLevel, ExprKind::kBinary, BinaryOp::kMod},
                                            {"**", kPowerLevel, ExprKind::kBinary, BinaryOp::kPow}};
  for (const Operator& op : kOperators)
    if (op.level == level && (current().is_operator(op.text) || current().is_name(op.text))) return &op;
  return nullptr;
}

ExprPtr ExpressionParser::parse_binary(int level) {
  if (level == kNotLevel) return parse_not();
  if (level == kConcatLevel) return parse_concat();
  if (level > kPowerLevel) return parse_unary();
  int line = current().line;
  ExprPtr left = parse_binary(level + 1);
  while (const Operator* op = operator_at(level)) {
    next();
    left = make(op->kind, line, pair_of(std::move(left), parse_binary(level + 1)));
    left->op = op->op;
  }
  return left;
}

ExprPtr ExpressionParser::parse_not() {
  if (!current().is_name("not")) return parse_compare();
  Nesting nesting(*this);
  int line = next().line;
  return make(ExprKind::kNot, line, only(parse_not()));
}

ExprPtr ExpressionParser::parse_compare() {
  constexpr std::pair<std::string_view, CompareOp> kOperators[] = {
      {"==", CompareOp::kEqual},  {"!=", CompareOp::kUnequal}, {"<", CompareOp::kLess},
      {"<=", CompareOp::kAtMost}, {">", CompareOp::kGreater},  {">=", CompareOp::kAtLeast}};
  int line = current().line;
  std::vector<ExprPtr> items = only(parse_binary(kSumLevel));
  std::vector<CompareOp> compare;
  while (true) {
    if (current().is(TokenKind::kOperator)) {
      auto it = std::find_if(std::begin(kOperators), std::end(kOperators),
                             [&](const auto& entry) { return entry.first == current().text; });
      if (it == std::end(kOperators)) break;
      next();
      compare.push_back(it->second);
    } else if (skip_name("in")) {
      compare.push_back(CompareOp::kIn);
    } else if (current().is_name("not") && peek().is_name("in")) {
      next();
      next();
      compare.push_back(CompareOp::kNotIn);
    } else {
      break;
    }
    items.push_back(parse_binary(kSumLevel));
  }
  if (compare.empty()) return std::move(items[0]);
  ExprPtr node = make(ExprKind::kCompare, line, std::move(items));
  node->compare = std::move(compare);
  return node;
}

ExprPtr ExpressionParser::parse_concat() {
  int line = current().line;
  std::vector<ExprPtr> items = only(parse_binary(kProductLevel));
  while (skip_operator("~")) items.push_back(parse_binary(kProductLevel));
  return items.size() == 1 ? std::move(items[0]) : make(ExprKind::kConcat, line, std::move(items));
}

ExprPtr ExpressionParser::parse_unary(bool with_filters) {
  Nesting nesting(*this);
  int line = current().line;
  ExprPtr node;
  if (skip_operator("-"))
    node = make(ExprKind::kNegate, line, only(parse_unary(false)));
  else if (skip_operator("+"))
    node = make(ExprKind::kPositive, line, only(parse_unary(false)));
  else
    node = parse_primary();
  node = parse_postfix(std::move(node));
  return with_filters ? parse_postfix_filters(std::move(node)) : std::move(node);
}

ExprPtr ExpressionParser::parse_primary(bool with_namespace) {
  const Token& token = current();
  switch (token.kind) {
    case TokenKind::kName:
      break;
    case TokenKind::kString:
      return parse_string();
    case TokenKind::kInteger:
    case TokenKind::kFloat:
      return parse_number();
    default:
      if (skip_operator("(")) {
        ExprPtr node = parse_tuple(true, true);
        expect_operator(")");
        return node;
      }
      if (token.is_operator("[")) return parse_list();
      if (token.is_operator("{")) return parse_dict();
      fail_at(token.line, "unexpected '{}'", describe_current());
  }
  next();
  const std::string& name = token.text;
  if (name == "true" || name == "True" || name == "false" || name == "False" || name == "none" ||
      name == "None") {
    ExprPtr node = make(ExprKind::kConst, token.line);
    node->constant =
        name[0] == 'n' || name[0] == 'N' ? Value::none() : Value::boolean(name[0] == 't' || name[0] == 'T');
    return node;
  }
  mentions_.caller += name == "caller";
  mentions_.kwargs += name == "kwargs";
  mentions_.varargs += name == "varargs";
  bool reference = with_namespace && skip_operator(".");
  ExprPtr node = make(reference ? ExprKind::kNamespaceRef : ExprKind::kName, token.line);
  node->name = name;
  if (reference) node->attribute = expect(TokenKind::kName).text;
  return node;
}

ExprPtr ExpressionParser::parse_string() {
  int line = current().line;
  std::string text;
  while (current().is(TokenKind::kString)) text += next().text;  // neighbours join
  ExprPtr node = make(ExprKind::kConst, line);
  node->constant = constant_string(std::move(text));
  return node;
}

ExprPtr ExpressionParser::parse_number() {
  const Token& token = next();
  ExprPtr node = make(ExprKind::kConst, token.line);
  if (token.is(TokenKind::kFloat)) {
    node->constant = Value::real(strtod(token.text.c_str(), nullptr));
    return node;
  }
  errno = 0;
  int64_t number = strtoll(token.text.c_str(), nullptr, 10);
  if (errno == ERANGE) fail_at(token.line, "integer overflow: {} does not fit 64 bits", token.text);
  node->constant = Value::integer(number);
  return node;
}

ExprPtr ExpressionParser::parse_list() {
  int line = next().line;
  std::vector<ExprPtr> items;
  parse_until("]", [&] { items.push_back(parse_expression()); });
  return make(ExprKind::kList, line, std::move(items));
}

ExprPtr ExpressionParser::parse_dict() {
  int line = next().line;
  std::vector<ExprPtr> items;
  parse_until("}", [&] {
    items.push_back(parse_expression());
    expect_operator(":");
    items.push_back(parse_expression());
  });
  return make(ExprKind::kDict, line, std::move(items));
}

bool ExpressionParser::at_tuple_end() const {
  return current().is(TokenKind::kVariableEnd) || current().is(TokenKind::kBlockEnd) ||
         current().is_operator(")");
}

template <typename ParseItem>
ExprPtr ExpressionParser::parse_items(ParseItem parse_item, bool in_parentheses) {
  int line = current().line;
  std::vector<ExprPtr> items;
  bool is_tuple = false;
  while (true) {
    if (!items.empty()) expect_operator(",");
    if (at_tuple_end()) break;
    items.push_back(parse_item());
    if (!current().is_operator(",")) break;
    is_tuple = true;
  }
  if (!is_tuple) {
    if (!items.empty()) return std::move(items[0]);
    if (!in_parentheses) fail_at(current().line, "Expected an expression, got '{}'", describe_current());
  }
  return make(ExprKind::kTuple, line, std::move(items));
}

ExprPtr ExpressionParser::parse_tuple(bool with_conditional, bool in_parentheses) {
  return parse_items([&] { return parse_expression(with_conditional); }, in_parentheses);
}

ExprPtr ExpressionParser::parse_target_tuple(bool with_namespace) {
  return parse_items([&] { return parse_primary(with_namespace); }, false);
}

void ExpressionParser::check_target(const Expr& node) {
  if (node.kind == ExprKind::kTuple) {
    for (const ExprPtr& item : node.items) check_target(*item);
  } else if (node.kind != ExprKind::kName && node.kind != ExprKind::kNamespaceRef) {
    fail_at(node.line, "can't assign to this expression, only to names and tuples of names");
  }
}

ExprPtr ExpressionParser::parse_postfix(ExprPtr node) {
  while (true) {
    if (current().is_operator(".") || current().is_operator("["))
      node = parse_subscript(std::move(node));
    else if (current().is_operator("("))
      node = parse_call(std::move(node));
    else
      return node;
  }
}

ExprPtr ExpressionParser::parse_postfix_filters(ExprPtr node) {
  while (true) {
    if (current().is_operator("|"))
      node = parse_filters(std::move(node), false);
    else if (current().is_name("is"))
      node = parse_test(std::move(node));
    else if (current().is_operator("("))
      node = parse_call(std::move(node));
    else
      return node;
  }
}

ExprPtr ExpressionParser::parse_subscript(ExprPtr node) {
  int line = current().line;
  if (skip_operator(".")) {
    const Token& token = next();
    if (token.is(TokenKind::kName)) {
      ExprPtr attribute = make(ExprKind::kAttribute, line, only(std::move(node)));
      attribute->constant = constant_string(token.text);
      return attribute;
    }
    if (!token.is(TokenKind::kInteger)) fail_at(token.line, "expected name or number after '.'");
    --position_;
    return make(ExprKind::kItem, line, pair_of(std::move(node), parse_number()));
  }
  next();
  ExprPtr first = current().is_operator(":") ? nullptr : parse_expression();
  if (first && !current().is_operator(":")) {
    expect_operator("]");
    return make(ExprKind::kItem, line, pair_of(std::move(node), std::move(first)));
  }
  std::vector<ExprPtr> parts = pair_of(std::move(node), std::move(first));
  for (int i = 0; i < 2; ++i) {
    bool given = skip_operator(":") && !current().is_operator(":") && !current().is_operator("]");
    parts.push_back(given ? parse_expression() : nullptr);
  }
  expect_operator("]");
  return make(ExprKind::kSlice, line, std::move(parts));
}

CallArguments ExpressionParser::parse_arguments() {
  int line = current().line;
  expect_operator("(");
  CallArguments arguments;
  SeededSet names;
  auto ensure = [&](bool valid) {
    if (!valid) fail_at(line, "invalid syntax for function call expression");
  };
  parse_until(")", [&] {
    if (skip_operator("*")) {
      ensure(!arguments.spread && !arguments.named_spread);
      arguments.spread = parse_expression();
    } else if (skip_operator("**")) {
      ensure(!arguments.named_spread);
      arguments.named_spread = parse_expression();
    } else if (current().is(TokenKind::kName) && peek().is_operator("=")) {
      ensure(!arguments.named_spread);
      std::string name = next().text;
      next();
      if (!names.insert(name).second) fail_at(line, "keyword argument repeated: {}", name);
      arguments.named.emplace_back(std::move(name), parse_expression());
    } else {
      ensure(!arguments.spread && !arguments.named_spread && arguments.named.empty());
      arguments.positional.push_back(parse_expression());
    }
  });
  return arguments;
}

ExprPtr ExpressionParser::parse_call(ExprPtr node) {
  ExprPtr call = make(ExprKind::kCall, current().line, only(std::move(node)));
  call->arguments = parse_arguments();
  return measured(std::move(call));
}

ExprPtr ExpressionParser::parse_filters(ExprPtr node, bool name_follows) {
  while (name_follows || skip_operator("|")) {
    name_follows = false;
    ExprPtr filter = make(ExprKind::kFilter, current().line, only(std::move(node)));
    filter->name = expect(TokenKind::kName).text;
    filter->filter = find_filter(filter->name);
    if (current().is_operator("(")) filter->arguments = parse_arguments();
    node = measured(std::move(filter));
  }
  return node;
}

ExprPtr ExpressionParser::parse_test(ExprPtr node) {
  int line = next().line;
  bool negated = skip_name("not");
  ExprPtr test = make(ExprKind::kTest, line, only(std::move(node)));
  test->name = expect(TokenKind::kName).text;
  test->test = find_test(test->name);
  const Token& token = current();
  bool argument = token.is(TokenKind::kName) || token.is(TokenKind::kString) ||
                  token.is(TokenKind::kInteger) || token.is(TokenKind::kFloat) || token.is_operator("[") ||
                  token.is_operator("{");
  if (token.is_operator("(")) {
    test->arguments = parse_arguments();
  } else if (argument && !token.is_name("else") && !token.is_name("or") && !token.is_name("and")) {
    if (token.is_name("is")) fail_at(token.line, "You cannot chain multiple tests with is");
    test->arguments.positional.push_back(parse_postfix(parse_primary()));
  }
  test = measured(std::move(test));
  return negated ? make(ExprKind::kNot, line, only(std::move(test))) : std::move(test);
}

}  // namespace reprise::tokenizer::jinja
