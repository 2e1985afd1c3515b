// The parsed template. Nodes mirror jinja2.nodes; after parsing, resolve() (scope.h) fills in the scopes and
// slots, and from then on the tree never changes, so that many threads may render it.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tokenizer/jinja/compare.h"
#include "tokenizer/jinja/filters.h"
#include "tokenizer/jinja/operators.h"
#include "tokenizer/jinja/value.h"

namespace reprise::tokenizer::jinja {

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
  kAttribute,    // items[0].constant
  kItem,         // items[0][items[1]]
  kSlice,        // items[0][items[1]:items[2]:items[3]], bounds may be null
  kCall,         // items[0](...)
  kFilter,       // items[0]|name(...); items[0] is null in a filter block
  kTest,         // items[0] is name(...)
};

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
  BinaryOp op = BinaryOp::kAdd;
  std::vector<CompareOp> compare;
  std::string name;
  std::string attribute;  // of kNamespaceRef
  Value constant;
  std::vector<ExprPtr> items;
  CallArguments arguments;
  int slot = 0;                     // kName, kNamespaceRef: in the frame of its scope
  FilterFunction filter = nullptr;  // null: unknown, which fails only when it is reached
  TestFunction test = nullptr;
};

struct Stmt;
using StmtPtr = std::unique_ptr<Stmt>;
using Body = std::vector<StmtPtr>;

enum class StmtKind : uint8_t {
  kOutput,   // expressions to print
  kAssign,   // target = value
  kCapture,  // body through an optional filter, stored in the target or, without one, printed
  kFor,
  kIf,
  kMacro,
  kCallBlock,
  kGeneration,  // {% generation %}: a call block whose caller runs at once
  kWith,
  kBreak,
  kContinue,
};

// The names that a scope mentions, one slot each in the frame of that scope. Frames are chained like the
// scopes that they belong to; those of macros to the frame that the macro was defined in.
struct Scope {
  struct Name {
    enum class From : uint8_t {
      kParameter,  // set by whoever enters the scope
      kOuter,      // starts with the value of `slot` of the frame `hops` scopes outwards
      kContext,    // starts with the caller's variable of that name
      kUnset,
    };
    From from;
    int hops;
    int slot;
    std::string name;
  };
  std::vector<Name> names;
};

struct Stmt {
  StmtKind kind;
  int line = 1;
  std::vector<ExprPtr> exprs;  // kOutput: printed values; kWith: values
  ExprPtr target;              // kAssign, kCapture, kFor
  ExprPtr value;  // kAssign; kFor: the iterable; kIf: the test; kCallBlock: the call; kCapture: the filter
  ExprPtr test;   // kFor: the `if` of the loop
  Body body;
  Body otherwise;  // else of kFor and kIf
  Body elifs;      // kIf: further kIf statements without their own else

  // Macros and call blocks.
  std::string name;
  std::vector<ExprPtr> parameters;  // kMacro, kCallBlock: names, in slots 0, 1, ...; kWith: targets
  std::vector<ExprPtr> defaults;    // of the last parameters
  bool takes_caller = false, takes_kwargs = false, takes_varargs = false;  // whether the body mentions them
  int caller_slot = -1, kwargs_slot = -1, varargs_slot = -1;  // -1: none, or a parameter is called so
  int slot = 0;  // kMacro: where it is stored; kFor: that of the loop variable, in the frame of the body

  Scope scope;       // of the body
  Scope else_scope;  // kFor
  Scope test_scope;  // kFor; the target has the same slots in it as in the body's
};

struct TemplateTree {
  Body body;
  Scope scope;
};

}  // namespace reprise::tokenizer::jinja
