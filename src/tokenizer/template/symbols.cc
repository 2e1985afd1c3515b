#include "tokenizer/template/symbols.h"

#include "core/error.h"

namespace reprise::tokenizer::jinja {

int Symbols::find(const std::string& name) const {
  for (const Symbols* scope = this; scope; scope = scope->parent_)
    if (scope->knows(name)) return scope->level_;
  return -1;
}

void Symbols::store(const std::string& name) {
  stores_.insert(name);
  if (knows(name)) return;
  int outer = parent_ ? parent_->find(name) : -1;
  entries_[name] = outer >= 0 ? Entry{Load::kAlias, outer} : Entry{Load::kUnset};
}

void Symbols::load(const std::string& name) {
  if (find(name) < 0) entries_[name] = {Load::kContext};
}

void Symbols::declare_parameter(const std::string& name) {
  stores_.insert(name);
  entries_[name] = {Load::kParameter};
}

Symbols Symbols::branch_of(const Symbols& base) {
  Symbols branch(base.parent_);
  branch.base_ = &base;
  return branch;
}

void Symbols::merge_branches(const std::vector<Symbols>& branches) {
  std::set<std::string> stores;
  for (const Symbols& branch : branches) stores.insert(branch.stores_.begin(), branch.stores_.end());
  std::erase_if(stores, [&](const std::string& name) { return stored(name); });
  for (const Symbols& branch : branches) {
    for (const auto& [name, entry] : branch.entries_) entries_[name] = entry;
    stores_.insert(branch.stores_.begin(), branch.stores_.end());
  }
  for (const std::string& name : stores) {
    int outer = parent_ ? parent_->find(name) : -1;
    entries_[name] = outer >= 0 ? Entry{Load::kAlias, outer} : Entry{Load::kContext};
  }
}

void Symbols::visit(const Body& body) {
  for (const StmtPtr& node : body) visit(*node);
}

void Symbols::visit(const Stmt& node) {
  switch (node.kind) {
    case StmtKind::kOutput:
      for (const ExprPtr& value : node.exprs) visit(*value);
      return;
    case StmtKind::kAssign:
      visit(*node.value);
      visit(*node.target);
      return;
    case StmtKind::kAssignBlock:
      visit(*node.target);
      return;
    case StmtKind::kFor:
    case StmtKind::kCallBlock:
    case StmtKind::kFilterBlock:
      visit(*node.value);
      return;
    case StmtKind::kMacro:
      store(node.name);
      return;
    case StmtKind::kWith:
      for (const ExprPtr& value : node.exprs) visit(*value);
      return;
    case StmtKind::kIf: {
      visit(*node.value);
      std::vector<Symbols> branches(3, branch_of(*this));
      branches[0].visit(node.body);
      branches[1].visit(node.elifs);
      branches[2].visit(node.otherwise);
      merge_branches(branches);
      return;
    }
    case StmtKind::kGeneration:
    case StmtKind::kBreak:
    case StmtKind::kContinue:
      return;
  }
}

void Symbols::visit(const Expr& node, bool as_parameter) {
  if (node.kind == ExprKind::kName) {
    if (as_parameter || node.access == Access::kParameter)
      declare_parameter(node.name);
    else if (node.access == Access::kStore)
      store(node.name);
    else
      load(node.name);
  } else if (node.kind == ExprKind::kNamespaceRef) {
    load(node.name);
  }
  for_each_child(node, [&](const Expr& child) { visit(child, as_parameter); });
}

namespace {

// Reads a tree in jinja2's field order and keeps the names that are loaded while nothing has stored them yet.
class UndeclaredNames {
 public:
  explicit UndeclaredNames(std::set<std::string> names) : names_(std::move(names)) {}

  void visit(const Body& body) {
    for (const StmtPtr& node : body) visit(*node);
  }

  std::set<std::string> found;

 private:
  void visit(const ExprPtr& node) {
    if (node) visit(*node);
  }

  void visit(const Expr& node) {
    if (node.kind == ExprKind::kName && names_.contains(node.name)) {
      if (node.access == Access::kLoad)
        found.insert(node.name);
      else
        names_.erase(node.name);
    }
    for_each_child(node, [&](const Expr& child) { visit(child); });
  }

  void visit(const Stmt& node) {
    bool value_last = node.kind == StmtKind::kAssignBlock || node.kind == StmtKind::kFilterBlock;
    if (node.kind == StmtKind::kAssignBlock) visit(node.target);
    if (node.kind == StmtKind::kAssign || node.kind == StmtKind::kFor) visit(node.target);
    if (!value_last || node.kind == StmtKind::kAssignBlock) visit(node.value);
    for (const ExprPtr& parameter : node.parameters) visit(parameter);
    for (const ExprPtr& fallback : node.defaults) visit(fallback);
    for (const ExprPtr& value : node.exprs) visit(value);
    visit(node.body);
    visit(node.elifs);
    visit(node.otherwise);
    visit(node.test);
    if (node.kind == StmtKind::kFilterBlock) visit(node.value);
  }

  std::set<std::string> names_;
};

}  // namespace

std::set<std::string> find_undeclared(const Body& body, std::set<std::string> names) {
  UndeclaredNames visitor(std::move(names));
  visitor.visit(body);
  return visitor.found;
}

namespace {

int find_store(const Expr& node, const std::string& name) {
  if (node.kind == ExprKind::kName && node.access == Access::kStore && node.name == name) return node.line;
  int line = 0;
  for_each_child(node, [&](const Expr& child) {
    if (line == 0) line = find_store(child, name);
  });
  return line;
}

}  // namespace

int find_store(const Stmt& node, const std::string& name) {
  if (node.target)
    if (int line = find_store(*node.target, name)) return line;
  for (const Body* body : {&node.body, &node.elifs, &node.otherwise})
    for (const StmtPtr& child : *body)
      if (int line = find_store(*child, name)) return line;
  return 0;
}

}  // namespace reprise::tokenizer::jinja
