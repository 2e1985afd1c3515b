// The parsed template. Nodes mirror jinja2.nodes; after parsing, resolve() (scope.h) fills in where each
// variable lives, and from then on the tree never changes, so that many threads may render it.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tokenizer/template/compare.h"
#include "tokenizer/template/filters.h"
#include "tokenizer/template/operators.h"
#include "tokenizer/template/value.h"

namespace reprise::tokenizer::jinja {

// A variable: `hops` functions outwards, then a slot of that function's frame.
struct VariableRef {
  int hops = 0;
  int slot = 0;
};

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

enum class ExprKind : uint8_t {
  kConst,
  kName,
  kNamespaceRef,  // ns.attr as the target of a set
  kTuple,
  kList,
  kDict,  // items: key, value, key, value, ...
  kNot,
  kNegate,
  kPositive,
  kAnd,
  kOr,
  kBinary,
  kConcat,
  kCompare,      // items[0] op items[1] op ...
  kConditional,  // items: test, then, else (may be null)
  kAttribute,    // items[0].name
  kItem,         // items[0][items[1]]
  kSlice,        // items[0][items[1]:items[2]:items[3]], bounds may be null
  kCall,         // items[0](...)
  kFilter,       // items[0]|name(...); items[0] is null in a filter block
  kTest,         // items[0] is name(...)
};

enum class Access : uint8_t { kLoad, kStore, kParameter };

struct CallArguments {
  std::vector<ExprPtr> positional;
  std::vector<std::pair<std::string, ExprPtr>> named;
  ExprPtr spread;        // *args
  ExprPtr named_spread;  // **kwargs
};

struct Expr {
  ExprKind kind;
  int line = 1;
  int depth = 1;  // of the tree below, capped by the parser
  Access access = Access::kLoad;
  BinaryOp op = BinaryOp::kAdd;
  std::vector<CompareOp> compare;
  std::string name;
  std::string attribute;  // of kNamespaceRef
  Value constant;
  std::vector<ExprPtr> items;
  CallArguments arguments;
  VariableRef variable;
  FilterFunction filter = nullptr;  // null: unknown, which fails only when it is reached
  TestFunction test = nullptr;
};

struct Stmt;
using StmtPtr = std::unique_ptr<Stmt>;
using Body = std::vector<StmtPtr>;

enum class StmtKind : uint8_t {
  kOutput,       // expressions to print
  kAssign,       // target = value
  kAssignBlock,  // target = body, through an optional filter
  kFor,
  kIf,
  kMacro,
  kCallBlock,
  kGeneration,  // {% generation %}: a call block whose caller runs at once
  kFilterBlock,
  kWith,
  kBreak,
  kContinue,
};

// What happens to a variable when its scope is entered.
struct ScopeLoad {
  enum class From : uint8_t { kContext, kAlias, kUnset } from;
  int slot;
  VariableRef source;  // kAlias
  std::string name;    // kContext
};

struct Scope {
  std::vector<ScopeLoad> loads;
  std::vector<int> parameters;  // slots that are set before the scope is entered, and emptied with the others
};

// A macro, the body of a call block, or the body of a recursive loop: code with variables of its own.
struct FunctionInfo {
  int slots = 0;
};

struct Stmt {
  StmtKind kind;
  int line = 1;
  std::vector<ExprPtr> exprs;  // kOutput: printed values; kWith: values
  ExprPtr target;              // kAssign, kAssignBlock, kFor
  ExprPtr value;  // kAssign; kFor: the iterable; kIf: the test; kCallBlock: the call; the filter of blocks
  ExprPtr test;   // kFor: the `if` of the loop
  ExprPtr test_target;  // kFor: the target as the test sees it
  Body body;
  Body otherwise;  // else of kFor and kIf
  Body elifs;      // kIf: further kIf statements without their own else
  bool recursive = false;
  bool uses_loop = false;

  // Macros and call blocks.
  std::string name;
  std::vector<ExprPtr> parameters;  // kMacro, kCallBlock: names; kWith: targets
  std::vector<ExprPtr> defaults;    // of the last parameters
  bool takes_caller = false, takes_kwargs = false, takes_varargs = false;
  VariableRef caller, kwargs, varargs;  // slots inside the function
  VariableRef variable;                 // kMacro: where it is stored; kFor: the loop variable

  Scope scope;                 // of the body
  Scope else_scope;            // kFor
  Scope test_scope;            // kFor
  FunctionInfo function;       // macros, call blocks, recursive loops
  FunctionInfo test_function;  // kFor
};

struct TemplateTree {
  Body body;
  Scope scope;
  FunctionInfo function;
};

}  // namespace reprise::tokenizer::jinja
