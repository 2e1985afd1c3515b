// Macros, and the callers of call blocks.
#pragma once

#include "tokenizer/template/interpreter.h"

namespace reprise::tokenizer::jinja {

class Macro : public HostObject {
 public:
  Macro(Interpreter& interpreter, const Stmt& node, FramePtr closure)
      : interpreter_(interpreter), node_(node), closure_(std::move(closure)) {}

  std::string_view type_name() const override { return "Macro"; }
  MarkedText repr(Runtime& runtime) const override;
  bool callable() const override { return true; }
  Value call(Runtime&, Arguments& arguments) override {
    return interpreter_.call_macro(node_, closure_, arguments);
  }

 private:
  Interpreter& interpreter_;
  const Stmt& node_;
  FramePtr closure_;
};

// Puts arguments into the slots of a macro's frame by jinja2's rules: positional, then by name; what is left
// over goes to caller, kwargs and varargs where the macro reads them. Parameters not given stay missing.
void bind_macro(Runtime& runtime, const Stmt& node, Arguments& arguments, Frame& frame);

}  // namespace reprise::tokenizer::jinja
