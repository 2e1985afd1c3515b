#include "tokenizer/jinja/parser.h"

#include <algorithm>

#include "core/seeded_hash.h"
#include "tokenizer/jinja/expression_parser.h"

namespace reprise::tokenizer::jinja {
namespace {

constexpr int kMaxBlocks = 50;    // statements in each other: bounds the recursion of all that walks the tree
constexpr size_t kMaxLoops = 20;  // Python nests no more loops than this in one function

class Parser : public ExpressionParser {
 public:
  using ExpressionParser::ExpressionParser;

  Body parse() {
    Body body = parse_body({});
    if (!current().is(TokenKind::kEnd)) fail_at(current().line, "unexpected '{}'", current().text);
    return body;
  }

 private:
  using Names = std::initializer_list<std::string_view>;

  bool at_name(Names names) const {
    return std::any_of(names.begin(), names.end(),
                       [&](std::string_view name) { return current().is_name(name); });
  }

  static std::string join(Names names) {
    std::string text;
    for (std::string_view name : names) text += (text.empty() ? "'" : " or '") + std::string(name) + "'";
    return text;
  }

  // Statements until a tag of `ends`, whose name is then the current token; without ends, until the
  // template's end.
  Body parse_body(Names ends) {
    if (++blocks_ > kMaxBlocks) fail_at(current().line, "statements nest deeper than {} levels", kMaxBlocks);
    Body body;
    Stmt* output = nullptr;  // consecutive text and prints share one statement
    auto print = [&](ExprPtr value) {
      if (!output) {
        body.push_back(make_statement(StmtKind::kOutput, value->line));
        output = body.back().get();
      }
      output->exprs.push_back(std::move(value));
    };
    while (!current().is(TokenKind::kEnd)) {
      if (current().is(TokenKind::kData)) {
        ExprPtr text = make(ExprKind::kConst, current().line);
        text->constant = constant_string(next().text);
        print(std::move(text));
      } else if (current().is(TokenKind::kVariableBegin)) {
        next();
        print(parse_tuple());
        expect(TokenKind::kVariableEnd);
      } else {
        expect(TokenKind::kBlockBegin);
        output = nullptr;
        if (at_name(ends)) {
          --blocks_;
          return body;
        }
        body.push_back(parse_statement(ends));
        expect(TokenKind::kBlockEnd);
      }
    }
    if (ends.size() > 0)
      fail_at(current().line, "Unexpected end of template. Jinja was looking for the following tags: {}.",
              join(ends));
    --blocks_;
    return body;
  }

  // The body of a tag: from the end of its opening tag up to and including the name of the closing one.
  Body parse_block(Names ends) {
    skip_operator(":");
    expect(TokenKind::kBlockEnd);
    return parse_body(ends);
  }

  static StmtPtr make_statement(StmtKind kind, int line) {
    auto statement = std::make_unique<Stmt>();
    statement->kind = kind;
    statement->line = line;
    return statement;
  }

  StmtPtr parse_statement(Names ends) {
    const Token& token = current();
    if (!token.is(TokenKind::kName)) fail_at(token.line, "tag name expected");
    const std::string& name = token.text;
    if (name == "for") return parse_for();
    if (name == "if") return parse_if();
    if (name == "set") return parse_set();
    if (name == "macro") return parse_macro();
    if (name == "call") return parse_call_block();
    if (name == "filter") return parse_filter_block();
    if (name == "with") return parse_with();
    if (name == "generation") return parse_generation();
    if (name == "break" || name == "continue") return parse_jump();
    for (std::string_view refused : {"extends", "include", "import", "from", "block", "autoescape"})
      if (name == refused)
        fail_at(token.line, "the tag '{}' is not available: a chat template stands alone in one file", name);
    if (ends.size() == 0) fail_at(token.line, "Encountered unknown tag '{}'.", name);
    fail_at(token.line, "Encountered unknown tag '{}'. Jinja was looking for the following tags: {}.", name,
            join(ends));
  }

  ExprPtr parse_target(bool with_namespace) {
    ExprPtr target = parse_target_tuple(with_namespace);
    check_target(*target);
    return target;
  }

  StmtPtr parse_set() {
    StmtPtr node = make_statement(StmtKind::kAssign, next().line);
    node->target = parse_target(true);
    if (skip_operator("=")) {
      node->value = parse_tuple();
      return node;
    }
    node->kind = StmtKind::kCapture;
    if (current().is_operator("|")) node->value = parse_filters(nullptr, false);
    node->body = parse_block({"endset"});
    next();
    return node;
  }

  StmtPtr parse_for() {
    StmtPtr node = make_statement(StmtKind::kFor, next().line);
    node->target = parse_target(false);
    if (!skip_name("in")) fail_at(current().line, "expected token 'in', got '{}'", current().text);
    node->value = parse_tuple(false);
    if (skip_name("if")) node->test = parse_expression();
    if (current().is_name("recursive"))
      fail_at(node->line, "recursive loops are not available in chat templates; a macro may call itself");
    if (++loops_ > kMaxLoops) fail_at(node->line, "more than {} loops inside each other", kMaxLoops);
    node->body = parse_block({"endfor", "else"});
    --loops_;
    if (next().text == "else") {
      node->otherwise = parse_block({"endfor"});
      next();
    }
    return node;
  }

  StmtPtr parse_if() {
    StmtPtr node = make_statement(StmtKind::kIf, next().line);
    Stmt* branch = node.get();
    while (true) {
      branch->value = parse_tuple(false);
      branch->body = parse_block({"elif", "else", "endif"});
      const Token& token = next();
      if (token.text == "elif") {
        node->elifs.push_back(make_statement(StmtKind::kIf, current().line));
        branch = node->elifs.back().get();
        continue;
      }
      if (token.text == "else") {
        node->otherwise = parse_block({"endif"});
        next();
      }
      return node;
    }
  }

  StmtPtr parse_with() {
    StmtPtr node = make_statement(StmtKind::kWith, next().line);
    while (!current().is(TokenKind::kBlockEnd)) {
      if (!node->parameters.empty()) expect_operator(",");
      node->parameters.push_back(parse_target(false));
      expect_operator("=");
      node->exprs.push_back(parse_expression());
    }
    node->body = parse_block({"endwith"});
    next();
    return node;
  }

  void parse_signature(Stmt& node) {
    expect_operator("(");
    SeededSet names;
    parse_until(")", [&] {
      ExprPtr parameter = parse_name();
      if (!names.insert(parameter->name).second)
        fail_at(parameter->line, "duplicate argument '{}'", parameter->name);
      if (skip_operator("="))
        node.defaults.push_back(parse_expression());
      else if (!node.defaults.empty())
        fail_at(current().line, "non-default argument follows default argument");
      node.parameters.push_back(std::move(parameter));
    });
  }

  ExprPtr parse_name() {
    const Token& token = expect(TokenKind::kName);
    for (std::string_view constant : {"true", "false", "none", "True", "False", "None"})
      if (token.text == constant) fail_at(token.line, "can't assign to '{}'", token.text);
    ExprPtr name = make(ExprKind::kName, token.line);
    name->name = token.text;
    return name;
  }

  // The body of a macro or call block: a function of its own, which no break or continue can leave.
  void parse_function_body(Stmt& node, std::string_view end) {
    size_t outer = std::exchange(loops_, 0);
    Mentions before = mentions_;
    node.body = parse_block({end});
    node.takes_caller = mentions_.caller > before.caller;
    node.takes_kwargs = mentions_.kwargs > before.kwargs;
    node.takes_varargs = mentions_.varargs > before.varargs;
    loops_ = outer;
    next();
  }

  StmtPtr parse_macro() {
    StmtPtr node = make_statement(StmtKind::kMacro, next().line);
    node->name = parse_name()->name;
    parse_signature(*node);
    parse_function_body(*node, "endmacro");
    return node;
  }

  StmtPtr parse_call_block() {
    StmtPtr node = make_statement(StmtKind::kCallBlock, next().line);
    if (current().is_operator("(")) parse_signature(*node);
    node->value = parse_expression();
    if (node->value->kind != ExprKind::kCall) fail_at(node->line, "expected call");
    for (const auto& [name, value] : node->value->arguments.named)
      if (name == "caller") fail_at(node->line, "keyword argument repeated: caller");
    parse_function_body(*node, "endcall");
    return node;
  }

  StmtPtr parse_generation() {
    StmtPtr node = make_statement(StmtKind::kGeneration, next().line);
    parse_function_body(*node, "endgeneration");
    return node;
  }

  StmtPtr parse_filter_block() {
    StmtPtr node = make_statement(StmtKind::kCapture, next().line);
    node->value = parse_filters(nullptr, true);
    node->body = parse_block({"endfilter"});
    next();
    return node;
  }

  StmtPtr parse_jump() {
    const Token& token = next();
    if (loops_ == 0) fail_at(token.line, "'{}' outside loop", token.text);
    return make_statement(token.text == "break" ? StmtKind::kBreak : StmtKind::kContinue, token.line);
  }

  int blocks_ = 0;
  size_t loops_ = 0;  // loops open in the current function
};

}  // namespace

TemplateTree parse_template(std::string_view source, int max_depth) {
  TemplateTree tree;
  tree.body = Parser(tokenize(source), max_depth).parse();
  return tree;
}

}  // namespace reprise::tokenizer::jinja
