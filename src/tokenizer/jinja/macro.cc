// Macros, and the callers of call blocks: the part of the interpreter that calls them.
#include <algorithm>

#include "tokenizer/jinja/interpreter.h"
#include "tokenizer/jinja/text.h"

#include <fmt/core.h>

namespace reprise::tokenizer::jinja {
namespace {

class Macro : public HostObject {
 public:
  Macro(Interpreter& interpreter, const Stmt& node, FramePtr closure)
      : interpreter_(interpreter), node_(node), closure_(std::move(closure)) {}

  std::string_view type_name() const override { return "Macro"; }
  MarkedText repr(Runtime&) const override {
    return MarkedText(node_.kind == StmtKind::kMacro ? fmt::format("<Macro {}>", quote(node_.name))
                                                     : "<Macro anonymous>");
  }
  bool callable() const override { return true; }
  Value call(Runtime&, Arguments& arguments) override {
    return interpreter_.call_macro(node_, closure_, arguments);
  }

 private:
  Interpreter& interpreter_;
  const Stmt& node_;
  FramePtr closure_;
};

// Takes the argument of that name out of `named`; missing when it is not there.
Value take_named(Runtime& runtime, Arguments& arguments, std::string_view name) {
  runtime.step(arguments.named.size() / 8);
  auto it = std::find_if(arguments.named.begin(), arguments.named.end(),
                         [&](const NamedArgument& argument) { return argument.name.text == name; });
  if (it == arguments.named.end()) return Value();
  Value value = std::move(it->value);
  arguments.named.erase(it);
  return value;
}

std::string display_name(const Stmt& node) {
  return node.kind == StmtKind::kMacro ? quote(node.name) : "None";
}

// Puts arguments into the slots of a macro's frame by jinja2's rules: positional, then by name; what is left
// over goes to caller, kwargs and varargs where the macro reads them. Parameters not given stay missing.
void bind_macro(Runtime& runtime, const Stmt& node, Arguments& arguments, Frame& frame) {
  size_t count = node.parameters.size();
  size_t given = std::min(arguments.positional.size(), count);
  bool found_caller = false;
  for (size_t i = 0; i < count; ++i) {
    const Expr& parameter = *node.parameters[i];
    frame.slots[i] = i < given ? arguments.positional[i] : take_named(runtime, arguments, parameter.name);
    // When every parameter is positional, a parameter named caller counts wherever it stands.
    if (parameter.name == "caller") found_caller = found_caller || i >= given || given == count;
  }
  if (node.caller_slot >= 0 && !found_caller) {
    Value caller = take_named(runtime, arguments, "caller");
    if (caller.is(Kind::kMissing) || caller.is(Kind::kNone)) caller = runtime.undefined("No caller defined");
    frame.slots[static_cast<size_t>(node.caller_slot)] = caller;
  }
  if (node.kwargs_slot >= 0) {
    DictBuilder kwargs(runtime);
    for (const auto& [name, value] : arguments.named) kwargs.set(name.view(), value);
    frame.slots[static_cast<size_t>(node.kwargs_slot)] = kwargs.build();
  } else if (!arguments.named.empty()) {
    bool twice = std::any_of(arguments.named.begin(), arguments.named.end(),
                             [](const NamedArgument& argument) { return argument.name.text == "caller"; });
    if (twice)
      runtime.fail(
          "macro {} was invoked with two values for the special caller argument. This is most likely a bug.",
          display_name(node));
    runtime.fail("macro {} takes no keyword argument {}", display_name(node),
                 quote(arguments.named[0].name.text));
  }
  if (node.varargs_slot >= 0) {
    std::vector<Value> rest(arguments.positional.begin() + static_cast<ptrdiff_t>(given),
                            arguments.positional.end());
    frame.slots[static_cast<size_t>(node.varargs_slot)] = runtime.tuple(std::move(rest));
  } else if (arguments.positional.size() > count) {
    runtime.fail("macro {} takes not more than {} argument(s)", display_name(node), count);
  }
}

}  // namespace

Value Interpreter::make_macro(const Stmt& node, const FramePtr& frame) {
  keep_frame(frame);
  return host<Macro>(0, *this, node, frame);
}

Value Interpreter::call_macro(const Stmt& node, const FramePtr& closure, Arguments& arguments) {
  FramePtr frame = make_frame(node.scope, closure);
  bind_macro(*this, node, arguments, *frame);
  int outer_line = line;
  enter(node.scope, *frame);
  size_t first_default = node.parameters.size() - node.defaults.size();
  for (size_t i = 0; i < node.parameters.size(); ++i) {
    const Expr& parameter = *node.parameters[i];
    if (!frame->slots[i].is(Kind::kMissing)) continue;
    Value value = i < first_default
                      ? undefined(fmt::format("parameter {} was not provided", quote(parameter.name)))
                      : evaluate(*node.defaults[i - first_default], frame);
    frame->slots[i] = value;
  }
  MarkedText text;
  captured(node.body, frame, text);
  line = outer_line;
  return string(std::move(text));
}

}  // namespace reprise::tokenizer::jinja
