#include "tokenizer/template/scope.h"

#include "tokenizer/template/lexer.h"
#include "tokenizer/template/symbols.h"
#include "tokenizer/template/text.h"
#include "tokenizer/template/unknown_name.h"

namespace reprise::tokenizer::jinja {
namespace {

// The slots of one function while it is compiled. Scopes from `base_level` inwards keep their variables here.
struct FunctionScope {
  FunctionScope* parent;
  int base_level;
  std::map<std::pair<int, std::string>, int> slots;
};

// One scope as the compiler passes through it.
struct Frame {
  Symbols symbols;
  FunctionScope* function;
  bool soft = false;  // inside an if, where unknown filters fail only when reached
};

ExprPtr clone_target(const Expr& node) {
  auto copy = std::make_unique<Expr>();
  copy->kind = node.kind;
  copy->line = node.line;
  copy->access = node.access;
  copy->name = node.name;
  for (const ExprPtr& item : node.items) copy->items.push_back(clone_target(*item));
  return copy;
}

class Resolver {
 public:
  void run(TemplateTree& tree) {
    if (find_undeclared(tree.body, {"self"}).contains("self"))
      fail_at(1,
              "the variable 'self' is not available: it stands for blocks, which chat templates don't have");
    FunctionScope function{nullptr, 0, {}};
    Frame frame{Symbols(nullptr), &function};
    frame.symbols.visit(tree.body);
    tree.scope = enter(frame);
    visit(tree.body, frame);
    tree.function.slots = slot_count(function);
  }

 private:
  static int slot_count(const FunctionScope& function) { return static_cast<int>(function.slots.size()); }

  static int slot(FunctionScope& function, int level, const std::string& name) {
    return function.slots.try_emplace({level, name}, slot_count(function)).first->second;
  }

  static VariableRef reference(FunctionScope* function, int level, const std::string& name) {
    int hops = 0;
    for (; level < function->base_level; function = function->parent) ++hops;
    return {hops, slot(*function, level, name)};
  }

  static VariableRef reference(const Frame& frame, const std::string& name, int line) {
    int level = frame.symbols.find(name);
    // jinja2 does not look at the filter arguments of a set block before it compiles them.
    if (level < 0) fail_at(line, "the variable {} is not known in the filter of a set block", quote(name));
    return reference(frame.function, level, name);
  }

  static Scope enter(const Frame& frame) {
    Scope scope;
    for (const auto& [name, entry] : frame.symbols.entries()) {
      ScopeLoad load{};
      load.slot = slot(*frame.function, frame.symbols.level(), name);
      if (entry.load == Symbols::Load::kParameter) {
        scope.parameters.push_back(load.slot);
        continue;
      }
      load.name = name;
      load.from = entry.load == Symbols::Load::kContext ? ScopeLoad::From::kContext
                  : entry.load == Symbols::Load::kAlias ? ScopeLoad::From::kAlias
                                                        : ScopeLoad::From::kUnset;
      if (entry.load == Symbols::Load::kAlias)
        load.source = reference(frame.function, entry.alias_level, name);
      scope.loads.push_back(std::move(load));
    }
    return scope;
  }

  Frame inner(const Frame& frame) { return {Symbols(&frame.symbols), frame.function}; }

  void visit(const Body& body, Frame& frame) {
    for (const StmtPtr& node : body) visit(*node, frame);
  }

  void visit(Stmt& node, Frame& frame) {
    switch (node.kind) {
      case StmtKind::kOutput:
        for (ExprPtr& value : node.exprs) visit(*value, frame);
        return;
      case StmtKind::kAssign:
        visit(*node.target, frame);
        return visit(*node.value, frame);
      case StmtKind::kAssignBlock:
        return visit_assign_block(node, frame);
      case StmtKind::kFor:
        return visit_for(node, frame);
      case StmtKind::kIf:
        return visit_if(node, frame);
      case StmtKind::kMacro:
        visit_function(node, frame);
        node.variable = reference(frame, node.name, node.line);
        return;
      case StmtKind::kCallBlock:
        visit_function(node, frame);
        return visit(*node.value, frame);
      case StmtKind::kGeneration:
        return visit_function(node, frame);
      case StmtKind::kFilterBlock:
        return visit_filter_block(node, frame);
      case StmtKind::kWith:
        return visit_with(node, frame);
      case StmtKind::kBreak:
      case StmtKind::kContinue:
        return;
    }
  }

  void visit(Expr& node, Frame& frame) {
    bool was_soft = frame.soft;
    switch (node.kind) {
      case ExprKind::kName:
      case ExprKind::kNamespaceRef:
        node.variable = reference(frame, node.name, node.line);
        break;
      case ExprKind::kFilter:
        if (!node.filter && !frame.soft) fail_at(node.line, "{}", unknown_filter(node.name));
        break;
      case ExprKind::kTest:
        if (!node.test && !frame.soft) fail_at(node.line, "{}", unknown_test(node.name));
        break;
      case ExprKind::kConditional:
        frame.soft = true;
        break;
      default:
        break;
    }
    for_each_child(node, [&](const Expr& child) { visit(const_cast<Expr&>(child), frame); });
    frame.soft = was_soft;
  }

  void visit_if(Stmt& node, Frame& frame) {
    bool was_soft = std::exchange(frame.soft, true);
    visit(*node.value, frame);
    visit(node.body, frame);
    for (StmtPtr& branch : node.elifs) {
      visit(*branch->value, frame);
      visit(branch->body, frame);
    }
    visit(node.otherwise, frame);
    frame.soft = was_soft;
  }

  void visit_assign_block(Stmt& node, Frame& frame) {
    Frame block = inner(frame);
    block.symbols.visit(node.body);
    node.scope = enter(block);
    visit(node.body, block);
    visit(*node.target, frame);
    if (node.value) visit(*node.value, block);
  }

  void visit_filter_block(Stmt& node, Frame& frame) {
    Frame block = inner(frame);
    block.symbols.visit(node.body);
    block.symbols.visit(*node.value);
    node.scope = enter(block);
    visit(node.body, block);
    visit(*node.value, block);
  }

  void visit_with(Stmt& node, Frame& frame) {
    Frame block = inner(frame);
    for (const ExprPtr& target : node.parameters) block.symbols.visit(*target);
    block.symbols.visit(node.body);
    node.scope = enter(block);
    for (ExprPtr& target : node.parameters) visit(*target, block);
    for (ExprPtr& value : node.exprs) visit(*value, frame);
    visit(node.body, block);
  }

  // Macros, call blocks and generation blocks.
  void visit_function(Stmt& node, Frame& outer) {
    FunctionScope function{outer.function, outer.symbols.level() + 1, {}};
    Frame frame{Symbols(&outer.symbols), &function};
    auto analyze = [&] {
      for (const ExprPtr& parameter : node.parameters) frame.symbols.visit(*parameter);
      for (const ExprPtr& fallback : node.defaults) frame.symbols.visit(*fallback);
      frame.symbols.visit(node.body);
    };
    analyze();
    auto has_parameter = [&](std::string_view name) {
      for (const ExprPtr& parameter : node.parameters)
        if (parameter->name == name) return true;
      return false;
    };
    std::set<std::string> special = find_undeclared(node.body, {"caller", "kwargs", "varargs"});
    auto declare = [&](const char* name, bool& takes, VariableRef& variable) {
      frame.symbols.declare_parameter(name);
      takes = true;
      variable = {0, slot(function, frame.symbols.level(), name)};
    };
    if (special.contains("caller")) {
      if (has_parameter("caller"))
        check_caller_default(node);
      else
        declare("caller", node.takes_caller, node.caller);
      node.takes_caller = true;
    }
    if (special.contains("kwargs") && !has_parameter("kwargs"))
      declare("kwargs", node.takes_kwargs, node.kwargs);
    if (special.contains("varargs") && !has_parameter("varargs"))
      declare("varargs", node.takes_varargs, node.varargs);
    analyze();
    node.scope = enter(frame);
    for (ExprPtr& parameter : node.parameters) visit(*parameter, frame);
    for (ExprPtr& fallback : node.defaults) visit(*fallback, frame);
    visit(node.body, frame);
    node.function.slots = slot_count(function);
  }

  static void check_caller_default(const Stmt& node) {
    size_t first_default = node.parameters.size() - node.defaults.size();
    for (size_t i = 0; i < first_default; ++i)
      if (node.parameters[i]->name == "caller")
        fail_at(node.line,
                "When defining macros or call blocks the special \"caller\" argument must be omitted or be "
                "given a "
                "default.");
  }

  void visit_for(Stmt& node, Frame& outer) {
    node.uses_loop = node.recursive || find_undeclared(node.body, {"loop"}).contains("loop");
    if (node.test) {
      // The test runs in a generator of its own, before the body sees the item.
      FunctionScope function{outer.function, outer.symbols.level() + 1, {}};
      Frame frame{Symbols(&outer.symbols), &function};
      frame.symbols.visit(*node.target, true);
      frame.symbols.visit(*node.test);
      node.test_scope = enter(frame);
      node.test_target = clone_target(*node.target);
      visit(*node.test_target, frame);
      visit(*node.test, frame);
      node.test_function.slots = slot_count(function);
    }
    FunctionScope function{outer.function, outer.symbols.level() + 1, {}};
    Frame body{Symbols(&outer.symbols), node.recursive ? &function : outer.function};
    if (node.uses_loop) body.symbols.declare_parameter("loop");
    body.symbols.visit(*node.target, true);
    body.symbols.visit(node.body);
    if (int line = find_store(node, "loop"))
      fail_at(line, "Can't assign to special loop variable in for-loop target");
    if (node.uses_loop) node.variable = reference(body, "loop", node.line);
    visit(*node.target, body);
    node.scope = enter(body);
    visit(node.body, body);
    Frame otherwise{Symbols(&outer.symbols), body.function};
    otherwise.symbols.visit(node.otherwise);
    node.else_scope = enter(otherwise);
    visit(node.otherwise, otherwise);
    visit(*node.value, outer);
    if (node.recursive) node.function.slots = slot_count(function);
  }
};

}  // namespace

void resolve(TemplateTree& tree) {
  Resolver().run(tree);
}

}  // namespace reprise::tokenizer::jinja
