#include "tokenizer/jinja/scope.h"

#include "core/seeded_hash.h"
#include "tokenizer/jinja/lexer.h"

namespace reprise::tokenizer::jinja {
namespace {

using From = Scope::Name::From;

enum class Target : uint8_t { kSet, kFor, kWith };

// One scope while it is read.
class Builder {
 public:
  Builder(const Builder* parent, bool in_loop) : parent_(parent), in_loop_(in_loop) {}

  bool in_loop() const { return in_loop_; }

  int parameter(const std::string& name) { return slot(name, From::kParameter); }
  // A name that is read first, or stored on some paths only, may come from the caller's variables; one that
  // is stored first hides them.
  int load(const std::string& name) { return slot(name, From::kContext); }
  int store(const std::string& name) { return slot(name, branches > 0 ? From::kContext : From::kUnset); }

  // The scope, once all of it and of the scopes around it was read.
  Scope finish() {
    for (Scope::Name& name : scope_.names) {
      if (name.from == From::kParameter) continue;
      int hops = 1;
      for (const Builder* outer = parent_; outer; outer = outer->parent_, ++hops) {
        auto it = outer->slots_.find(name.name);
        if (it == outer->slots_.end()) continue;
        name.from = From::kOuter;
        name.hops = hops;
        name.slot = it->second;
        break;
      }
    }
    return scope_;
  }

  int branches = 0;            // ifs around what is being read, inside of this scope
  int conditionals = 0;        // conditional expressions around it
  std::vector<Stmt*> pending;  // statements with scopes of their own

 private:
  int slot(const std::string& name, From from) {
    auto [it, added] = slots_.try_emplace(name, static_cast<int>(scope_.names.size()));
    if (added) scope_.names.push_back({from, 0, 0, name});
    return it->second;
  }

  const Builder* parent_;
  bool in_loop_;
  Scope scope_;
  SeededMap<int> slots_;
};

class Resolver {
 public:
  void run(TemplateTree& tree) {
    Builder top(nullptr, false);
    visit(tree.body, top);
    tree.scope = finish(top);
  }

 private:
  // Inner scopes are read last: what they see of this one depends on all of it.
  Scope finish(Builder& builder) {
    Scope scope = builder.finish();
    for (Stmt* node : builder.pending) visit_inner(*node, builder);
    return scope;
  }

  void visit(Body& body, Builder& scope) {
    for (StmtPtr& node : body) visit(*node, scope);
  }

  // What belongs to the scope that a statement stands in.
  void visit(Stmt& node, Builder& scope) {
    for (ExprPtr& value : node.exprs) visit(*value, scope);
    if (node.value && node.kind != StmtKind::kCapture && node.kind != StmtKind::kIf)
      visit(*node.value, scope);
    switch (node.kind) {
      case StmtKind::kOutput:
      case StmtKind::kBreak:
      case StmtKind::kContinue:
        return;
      case StmtKind::kAssign:
        return visit_target(*node.target, scope, Target::kSet);
      case StmtKind::kIf:
        ++scope.branches;
        visit(*node.value, scope);
        visit(node.body, scope);
        visit(node.elifs, scope);
        visit(node.otherwise, scope);
        --scope.branches;
        return;
      case StmtKind::kMacro:
        node.slot = scope.store(node.name);
        break;
      case StmtKind::kCapture:
        if (node.target) visit_target(*node.target, scope, Target::kSet);
        break;
      case StmtKind::kFor:
      case StmtKind::kCallBlock:
      case StmtKind::kGeneration:
      case StmtKind::kWith:
        break;
    }
    scope.pending.push_back(&node);
  }

  void visit(Expr& node, Builder& scope) {
    bool soft = scope.branches > 0 || scope.conditionals > 0;
    if (node.kind == ExprKind::kName) node.slot = scope.load(node.name);
    if (node.kind == ExprKind::kFilter && !node.filter && !soft)
      fail_at(node.line, "{}", unknown_filter(node.name));
    if (node.kind == ExprKind::kTest && !node.test && !soft)
      fail_at(node.line, "{}", unknown_test(node.name));
    scope.conditionals += node.kind == ExprKind::kConditional;
    for (ExprPtr& item : node.items) visit(item, scope);
    for (ExprPtr& argument : node.arguments.positional) visit(argument, scope);
    for (auto& [name, argument] : node.arguments.named) visit(argument, scope);
    visit(node.arguments.spread, scope);
    visit(node.arguments.named_spread, scope);
    scope.conditionals -= node.kind == ExprKind::kConditional;
  }
  void visit(ExprPtr& node, Builder& scope) {
    if (node) visit(*node, scope);
  }

  void visit_target(Expr& node, Builder& scope, Target target) {
    if (node.kind == ExprKind::kTuple) {
      for (ExprPtr& item : node.items) visit_target(*item, scope, target);
    } else if (node.kind == ExprKind::kNamespaceRef) {
      node.slot = scope.load(node.name);
    } else {
      if (node.name == "loop" && scope.in_loop() && target != Target::kWith)
        fail_at(node.line, "Can't assign to special loop variable in for-loop target");
      node.slot = target == Target::kSet ? scope.store(node.name) : scope.parameter(node.name);
    }
  }

  void visit_inner(Stmt& node, Builder& outer) {
    if (node.kind == StmtKind::kFor) return visit_for(node, outer);
    Builder scope(&outer, outer.in_loop());
    if (node.kind == StmtKind::kWith)
      for (ExprPtr& target : node.parameters) visit_target(*target, scope, Target::kWith);
    else if (node.kind != StmtKind::kCapture)
      declare_parameters(node, scope);
    for (ExprPtr& fallback : node.defaults) visit(*fallback, scope);
    visit(node.body, scope);
    if (node.kind == StmtKind::kCapture) visit(node.value, scope);
    node.scope = finish(scope);
  }

  // Of macros, call blocks and generation blocks. The first slots are the parameters, in their order.
  void declare_parameters(Stmt& node, Builder& scope) {
    bool has_caller = false, has_kwargs = false, has_varargs = false;
    size_t first_default = node.parameters.size() - node.defaults.size();
    for (size_t i = 0; i < node.parameters.size(); ++i) {
      const std::string& name = node.parameters[i]->name;
      scope.parameter(name);
      has_caller = has_caller || name == "caller";
      has_kwargs = has_kwargs || name == "kwargs";
      has_varargs = has_varargs || name == "varargs";
      if (name == "caller" && node.takes_caller && i < first_default)
        fail_at(node.line,
                "When defining macros or call blocks the special \"caller\" argument must be omitted or be "
                "given a default.");
    }
    if (node.takes_caller && !has_caller) node.caller_slot = scope.parameter("caller");
    if (node.takes_kwargs && !has_kwargs) node.kwargs_slot = scope.parameter("kwargs");
    if (node.takes_varargs && !has_varargs) node.varargs_slot = scope.parameter("varargs");
  }

  // The target has the first slots of both the test's scope and the body's.
  void visit_for(Stmt& node, Builder& outer) {
    if (node.test) {
      Builder test(&outer, outer.in_loop());
      visit_target(*node.target, test, Target::kFor);
      visit(*node.test, test);
      node.test_scope = finish(test);
    }
    Builder body(&outer, true);
    visit_target(*node.target, body, Target::kFor);
    node.slot = body.parameter("loop");
    visit(node.body, body);
    node.scope = finish(body);
    Builder otherwise(&outer, true);
    visit(node.otherwise, otherwise);
    node.else_scope = finish(otherwise);
  }
};

}  // namespace

void resolve(TemplateTree& tree) {
  Resolver().run(tree);
}

}  // namespace reprise::tokenizer::jinja
