// The names of one scope, and the visitor that collects them: jinja2.idtracking in C++.
#pragma once

#include <map>
#include <set>
#include <string>

#include "tokenizer/template/ast.h"

namespace reprise::tokenizer::jinja {

// The names that one scope refers to. A name's storage is known by (level of the scope that owns it, name).
class Symbols {
 public:
  enum class Load : uint8_t { kParameter, kContext, kAlias, kUnset };
  struct Entry {
    Load load;
    int alias_level = 0;
  };

  explicit Symbols(const Symbols* parent) : parent_(parent), level_(parent ? parent->level_ + 1 : 0) {}

  int level() const { return level_; }
  const std::map<std::string, Entry>& entries() const { return entries_; }
  // The level of the scope that owns `name`, or -1.
  int find(const std::string& name) const;
  void store(const std::string& name);
  void load(const std::string& name);
  void declare_parameter(const std::string& name);

  // Visits of what belongs to this scope; inner scopes are left out.
  void visit(const Body& body);
  void visit(const Stmt& node);
  void visit(const Expr& node, bool as_parameter = false);

 private:
  // A branch of an if sees what `base` knows and collects only what it adds.
  static Symbols branch_of(const Symbols& base);
  // After an if: what only some branches store starts from the outer value.
  void merge_branches(const std::vector<Symbols>& branches);
  bool knows(const std::string& name) const {
    return entries_.contains(name) || (base_ && base_->knows(name));
  }
  bool stored(const std::string& name) const {
    return stores_.contains(name) || (base_ && base_->stored(name));
  }

  const Symbols* parent_;
  const Symbols* base_ = nullptr;
  int level_;
  std::map<std::string, Entry> entries_;
  std::set<std::string> stores_;
};

// Calls `visit` on each child expression, absent ones left out. A conditional is stored as test, then, else,
// which is also the order jinja2 reads it in.
template <typename Visit>
void for_each_child(const Expr& node, Visit visit) {
  for (const ExprPtr& item : node.items)
    if (item) visit(*item);
  for (const ExprPtr& argument : node.arguments.positional) visit(*argument);
  for (const auto& [name, argument] : node.arguments.named) visit(*argument);
  if (node.arguments.spread) visit(*node.arguments.spread);
  if (node.arguments.named_spread) visit(*node.arguments.named_spread);
}
// Which of `names` a body reads before (in reading order) anything of that name is stored.
std::set<std::string> find_undeclared(const Body& body, std::set<std::string> names);
// The line of a store to `name` below, or 0.
int find_store(const Stmt& node, const std::string& name);

}  // namespace reprise::tokenizer::jinja
