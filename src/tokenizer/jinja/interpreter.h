// Runs one template once: walks the resolved tree over frames of slots. One object a render, one thread.
#pragma once

#include <memory>

#include "core/json_fwd.h"
#include "tokenizer/jinja/ast.h"
#include "tokenizer/jinja/chat_template.h"
#include "tokenizer/jinja/globals.h"

namespace reprise::tokenizer::jinja {

// The variables of one running scope; macros keep the frames alive that they were defined in.
struct Frame : HeapObject {
  std::shared_ptr<Frame> parent;
  std::vector<Value> slots;
  bool kept = false;
};
using FramePtr = std::shared_ptr<Frame>;

class Interpreter : public Runtime {
 public:
  Interpreter(const TemplateTree& tree, const TemplateLimits& limits, const Json& context,
              const std::atomic<bool>* cancel);
  ~Interpreter() override;

  // The rendered text with its marks. Throws Error with the line.
  MarkedText run();

  // A macro, called. `caller` of the arguments is what a call block passes.
  Value call_macro(const Stmt& node, const FramePtr& closure, Arguments& arguments);

 private:
  enum class Flow : uint8_t { kNext, kBreak, kContinue };

  FramePtr make_frame(const Scope& scope, FramePtr parent);
  // Gives all names but parameters the values that they start with.
  void enter(const Scope& scope, Frame& frame);
  // A macro that outlives the scope it was defined in sees its variables as undefined.
  void leave(Frame& frame);
  // Marks a frame as reachable from a value, so that the end of the render empties it.
  void keep_frame(const FramePtr& frame);

  Flow run_body(const Body& body, const FramePtr& frame);
  Flow run_statement(const Stmt& node, const FramePtr& frame);
  void run_output(const Stmt& node, const FramePtr& frame);
  void run_assign(const Stmt& node, const FramePtr& frame);
  Flow run_capture(const Stmt& node, const FramePtr& outer);
  Flow run_with(const Stmt& node, const FramePtr& outer);
  Flow run_if(const Stmt& node, const FramePtr& frame);
  Flow run_for(const Stmt& node, const FramePtr& outer);
  void run_call_block(const Stmt& node, const FramePtr& frame);
  // The items that the `if` of a loop lets through.
  Value filtered(const Stmt& node, const FramePtr& outer, const Value& iterable);
  Value make_macro(const Stmt& node, const FramePtr& frame);

  Value evaluate(const Expr& node, const FramePtr& frame);
  Value evaluate_name(const Expr& node, const FramePtr& frame);
  Value evaluate_dict(const Expr& node, const FramePtr& frame);
  Value evaluate_concat(const Expr& node, const FramePtr& frame);
  Value evaluate_compare(const Expr& node, const FramePtr& frame);
  Value evaluate_conditional(const Expr& node, const FramePtr& frame);
  Value evaluate_slice(const Expr& node, const FramePtr& frame);
  Value evaluate_call(const Expr& node, const FramePtr& frame, const Value& caller);
  Value evaluate_filter(const Expr& node, const FramePtr& frame, const Value* block_text);
  Value evaluate_test(const Expr& node, const FramePtr& frame);
  std::vector<Value> evaluate_all(const std::vector<ExprPtr>& nodes, const FramePtr& frame);
  void evaluate_arguments(const CallArguments& source, const FramePtr& frame, Arguments& arguments);

  void assign(const Expr& target, const Value& value, const FramePtr& frame);
  void check_namespaces(const Expr& target, const FramePtr& frame);
  void emit(MarkedView text);
  // What filter blocks and call blocks print: jinja2 joins it without str(), so anything but text fails.
  void emit_text(const Value& value);
  // Runs `body` with the output going to a string of its own.
  Flow captured(const Body& body, const FramePtr& frame, MarkedText& text);

  const TemplateTree& tree_;
  const TemplateLimits& limits_;
  Variables variables_;
  MarkedText* out_ = nullptr;
  size_t output_bytes_ = 0;
};

}  // namespace reprise::tokenizer::jinja
