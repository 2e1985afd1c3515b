#include "tokenizer/jinja/interpreter.h"

#include <algorithm>

#include "core/error.h"
#include "core/json.h"
#include "tokenizer/jinja/json_text.h"
#include "tokenizer/jinja/lexer.h"
#include "tokenizer/jinja/loop.h"
#include "tokenizer/jinja/text.h"

namespace reprise::tokenizer::jinja {

Interpreter::Interpreter(const TemplateTree& tree, const TemplateLimits& limits, const Json& context,
                         const std::atomic<bool>* cancel)
    : tree_(tree), limits_(limits) {
  max_depth_ = limits.max_depth;
  max_steps_ = UINT64_MAX;
  begin_clock(limits.max_cpu_seconds, cancel);
  try {
    for (const auto& [name, value] : context.items()) {
      if (name == "messages")
        variables_[name] = messages_from_json(*this, value);
      else
        variables_[name] = value_from_json(*this, value, name == "documents");
    }
  } catch (const Failure& failure) {
    throw Error("[chat template] {}", failure.what());
  }
  // The caller's own data is not what the limits are for.
  begin_counting(limits.max_steps, limits.max_memory_bytes);
  add_globals(*this, variables_);
}

Interpreter::~Interpreter() {
  break_cycles();
}

MarkedText Interpreter::run() {
  MarkedText text;
  out_ = &text;
  try {
    FramePtr frame = make_frame(tree_.scope, nullptr);
    enter(tree_.scope, *frame);
    run_body(tree_.body, frame);
  } catch (const Failure& failure) {
    fail_at(line, "{}", failure.what());
  }
  return text;
}

FramePtr Interpreter::make_frame(const Scope& scope, FramePtr parent) {
  auto frame = std::make_shared<Frame>();
  step(scope.names.size() / 4);
  adopt(*frame, scope.names.size() * sizeof(Value), 0);
  frame->parent = std::move(parent);
  frame->slots.resize(scope.names.size());
  return frame;
}

void Interpreter::enter(const Scope& scope, Frame& frame) {
  using From = Scope::Name::From;
  step(scope.names.size());
  for (size_t i = 0; i < scope.names.size(); ++i) {
    const Scope::Name& name = scope.names[i];
    if (name.from == From::kParameter) continue;
    Value value;
    if (name.from == From::kOuter) {
      const Frame* owner = &frame;
      for (int hop = 0; hop < name.hops; ++hop) owner = owner->parent.get();
      value = owner->slots[static_cast<size_t>(name.slot)];
    } else if (name.from == From::kContext) {
      auto it = variables_.find(name.name);
      if (it != variables_.end()) value = it->second;
    }
    frame.slots[i] = std::move(value);
  }
}

void Interpreter::leave(Frame& frame) {
  if (frame.kept) std::fill(frame.slots.begin(), frame.slots.end(), Value());
}

void Interpreter::keep_frame(const FramePtr& frame) {
  for (FramePtr each = frame; each && !each->kept; each = each->parent) {
    each->kept = true;
    keep(each, [raw = each.get()] { raw->slots.clear(); });
  }
}

void Interpreter::emit_text(const Value& value) {
  if (!value.is_string()) fail("sequence item 0: expected str instance, {} found", type_name(value));
  emit(value.marked());
}

void Interpreter::emit(MarkedView text) {
  size_t marks = out_->marks.size();
  out_->append(text);
  output_bytes_ += text.size() + (out_->marks.size() - marks) * sizeof(TextSpan);
  if (output_bytes_ > limits_.max_output_bytes)
    fail("the output is larger than {} bytes", limits_.max_output_bytes);
  step(text.size() / 64);
}

Interpreter::Flow Interpreter::captured(const Body& body, const FramePtr& frame, MarkedText& text) {
  MarkedText* outer = std::exchange(out_, &text);
  Flow flow;
  try {
    flow = run_body(body, frame);
  } catch (...) {
    out_ = outer;
    throw;
  }
  out_ = outer;
  return flow;
}

Interpreter::Flow Interpreter::run_body(const Body& body, const FramePtr& frame) {
  Depth depth(*this);
  for (const StmtPtr& node : body) {
    Flow flow = run_statement(*node, frame);
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Interpreter::Flow Interpreter::run_statement(const Stmt& node, const FramePtr& frame) {
  step();
  line = node.line;
  switch (node.kind) {
    case StmtKind::kOutput:
      run_output(node, frame);
      return Flow::kNext;
    case StmtKind::kAssign:
      run_assign(node, frame);
      return Flow::kNext;
    case StmtKind::kCapture:
      return run_capture(node, frame);
    case StmtKind::kFor:
      return run_for(node, frame);
    case StmtKind::kIf:
      return run_if(node, frame);
    case StmtKind::kMacro:
      frame->slots[static_cast<size_t>(node.slot)] = make_macro(node, frame);
      return Flow::kNext;
    case StmtKind::kCallBlock:
      run_call_block(node, frame);
      return Flow::kNext;
    case StmtKind::kGeneration: {
      Arguments none;
      emit_text(call_macro(node, frame, none));
      return Flow::kNext;
    }
    case StmtKind::kWith:
      return run_with(node, frame);
    case StmtKind::kBreak:
      return Flow::kBreak;
    case StmtKind::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNext;
}

void Interpreter::run_output(const Stmt& node, const FramePtr& frame) {
  for (const ExprPtr& value : node.exprs) {
    if (value->kind == ExprKind::kConst && value->constant.is_string()) {
      emit(value->constant.text());
      continue;
    }
    Value result = evaluate(*value, frame);
    if (!result.is_undefined()) emit(to_str(*this, result).marked());
  }
}

void Interpreter::run_assign(const Stmt& node, const FramePtr& frame) {
  check_namespaces(*node.target, frame);
  Value value = evaluate(*node.value, frame);
  line = node.line;
  assign(*node.target, value, frame);
}

// Set blocks and filter blocks.
Interpreter::Flow Interpreter::run_capture(const Stmt& node, const FramePtr& outer) {
  FramePtr frame = make_frame(node.scope, outer);
  enter(node.scope, *frame);
  MarkedText text;
  Flow flow = captured(node.body, frame, text);
  if (flow != Flow::kNext) return flow;  // break and continue leave before the assignment
  Value value = string(std::move(text));
  if (node.value) value = evaluate_filter(*node.value, frame, &value);
  line = node.line;
  if (node.target)
    assign(*node.target, value, outer);
  else
    emit_text(value);
  leave(*frame);
  return Flow::kNext;
}

Interpreter::Flow Interpreter::run_with(const Stmt& node, const FramePtr& outer) {
  FramePtr frame = make_frame(node.scope, outer);
  enter(node.scope, *frame);
  for (size_t i = 0; i < node.exprs.size(); ++i)
    assign(*node.parameters[i], evaluate(*node.exprs[i], outer), frame);
  Flow flow = run_body(node.body, frame);
  leave(*frame);
  return flow;
}

Interpreter::Flow Interpreter::run_if(const Stmt& node, const FramePtr& frame) {
  if (truthy(evaluate(*node.value, frame))) return run_body(node.body, frame);
  for (const StmtPtr& branch : node.elifs) {
    line = branch->line;
    if (truthy(evaluate(*branch->value, frame))) return run_body(branch->body, frame);
  }
  return run_body(node.otherwise, frame);
}

Interpreter::Flow Interpreter::run_for(const Stmt& node, const FramePtr& outer) {
  Value source = evaluate(*node.value, outer);
  line = node.line;
  if (node.test) source = filtered(node, outer, source);
  Value loop = host<LoopContext>(source.depth() + 1, *this, source);
  LoopContext& context = *loop.host_as<LoopContext>();
  FramePtr frame = make_frame(node.scope, outer);
  bool completed = false;  // whether any iteration ran to the end of the body: break and continue don't count
  for (Value item; context.advance(item);) {
    enter(node.scope, *frame);
    assign(*node.target, item, frame);
    frame->slots[static_cast<size_t>(node.slot)] = loop;
    Flow flow = run_body(node.body, frame);
    line = node.line;
    if (flow == Flow::kBreak) break;
    completed = completed || flow == Flow::kNext;
  }
  leave(*frame);
  if (node.otherwise.empty() || completed) return Flow::kNext;
  frame = make_frame(node.else_scope, outer);
  enter(node.else_scope, *frame);
  Flow flow = run_body(node.otherwise, frame);
  leave(*frame);
  return flow;
}

Value Interpreter::filtered(const Stmt& node, const FramePtr& outer, const Value& iterable) {
  auto cursor = std::make_shared<Cursor>(*this, iterable);
  FramePtr frame = make_frame(node.test_scope, outer);
  keep_frame(frame);
  enter(node.test_scope, *frame);
  return iterator("generator", {iterable}, [this, &node, cursor, frame](Value& item) {
    Depth depth(*this);
    while (cursor->next(item)) {
      assign(*node.target, item, frame);
      if (truthy(evaluate(*node.test, frame))) return true;
    }
    return false;
  });
}

void Interpreter::run_call_block(const Stmt& node, const FramePtr& frame) {
  Value caller = make_macro(node, frame);
  emit_text(evaluate_call(*node.value, frame, caller));
}

void Interpreter::check_namespaces(const Expr& target, const FramePtr& frame) {
  if (target.kind == ExprKind::kNamespaceRef) {
    if (!frame->slots[static_cast<size_t>(target.slot)].host_as<Namespace>())
      fail("cannot assign attribute on non-namespace object");
  } else {
    for (const ExprPtr& item : target.items) check_namespaces(*item, frame);
  }
}

void Interpreter::assign(const Expr& target, const Value& value, const FramePtr& frame) {
  if (target.kind == ExprKind::kName) {
    frame->slots[static_cast<size_t>(target.slot)] = value;
  } else if (target.kind == ExprKind::kNamespaceRef) {
    Namespace* space = frame->slots[static_cast<size_t>(target.slot)].host_as<Namespace>();
    if (!space) fail("cannot assign attribute on non-namespace object");
    space->set(*this, target.attribute, value);
  } else {
    if (!iterable(value)) fail("cannot unpack non-iterable {} object", type_name(value));
    Cursor cursor(*this, value);
    std::vector<Value> items;
    for (Value item; cursor.next(item); items.push_back(item))
      if (items.size() == target.items.size())
        fail("too many values to unpack (expected {})", target.items.size());
    if (items.size() < target.items.size())
      fail("not enough values to unpack (expected {}, got {})", target.items.size(), items.size());
    for (size_t i = 0; i < items.size(); ++i) assign(*target.items[i], items[i], frame);
  }
}

}  // namespace reprise::tokenizer::jinja
