// The expression half of the interpreter. `line` is set after the operands, just before what may fail.
#include "tokenizer/jinja/attributes.h"
#include "tokenizer/jinja/compare.h"
#include "tokenizer/jinja/interpreter.h"
#include "tokenizer/jinja/text.h"

#include <fmt/core.h>

namespace reprise::tokenizer::jinja {

Value Interpreter::evaluate(const Expr& node, const FramePtr& frame) {
  step();
  Depth depth(*this);
  switch (node.kind) {
    case ExprKind::kConst:
      return node.constant;
    case ExprKind::kName:
    case ExprKind::kNamespaceRef:
      return evaluate_name(node, frame);
    case ExprKind::kTuple:
      return tuple(evaluate_all(node.items, frame));
    case ExprKind::kList:
      return list(evaluate_all(node.items, frame));
    case ExprKind::kDict:
      return evaluate_dict(node, frame);
    case ExprKind::kNot:
      return Value::boolean(!truthy(evaluate(*node.items[0], frame)));
    case ExprKind::kNegate:
    case ExprKind::kPositive: {
      Value operand = evaluate(*node.items[0], frame);
      line = node.line;
      return node.kind == ExprKind::kNegate ? negate(*this, operand) : positive(*this, operand);
    }
    case ExprKind::kAnd:
    case ExprKind::kOr: {
      Value left = evaluate(*node.items[0], frame);
      return truthy(left) == (node.kind == ExprKind::kOr) ? left : evaluate(*node.items[1], frame);
    }
    case ExprKind::kBinary: {
      Value left = evaluate(*node.items[0], frame);
      Value right = evaluate(*node.items[1], frame);
      line = node.line;
      return binary(*this, node.op, left, right);
    }
    case ExprKind::kConcat:
      return evaluate_concat(node, frame);
    case ExprKind::kCompare:
      return evaluate_compare(node, frame);
    case ExprKind::kConditional:
      return evaluate_conditional(node, frame);
    case ExprKind::kAttribute: {
      Value object = evaluate(*node.items[0], frame);
      line = node.line;
      return get_attribute(*this, object, node.constant);
    }
    case ExprKind::kItem: {
      Value object = evaluate(*node.items[0], frame);
      Value key = evaluate(*node.items[1], frame);
      line = node.line;
      return get_item(*this, object, key);
    }
    case ExprKind::kSlice:
      return evaluate_slice(node, frame);
    case ExprKind::kCall:
      return evaluate_call(node, frame, Value());
    case ExprKind::kFilter:
      return evaluate_filter(node, frame, nullptr);
    case ExprKind::kTest:
      return evaluate_test(node, frame);
  }
  return Value::none();
}

Value Interpreter::evaluate_name(const Expr& node, const FramePtr& frame) {
  const Value& value = frame->slots[static_cast<size_t>(node.slot)];
  return value.is(Kind::kMissing) ? undefined(fmt::format("{} is undefined", quote(node.name))) : value;
}

std::vector<Value> Interpreter::evaluate_all(const std::vector<ExprPtr>& nodes, const FramePtr& frame) {
  std::vector<Value> values;
  values.reserve(nodes.size());
  for (const ExprPtr& node : nodes) values.push_back(evaluate(*node, frame));
  return values;
}

Value Interpreter::evaluate_dict(const Expr& node, const FramePtr& frame) {
  DictBuilder dict(*this);
  for (size_t i = 0; i < node.items.size(); i += 2) {
    Value key = evaluate(*node.items[i], frame);
    Value value = evaluate(*node.items[i + 1], frame);
    line = node.line;
    dict.set(key, value);
  }
  return dict.build();
}

Value Interpreter::evaluate_concat(const Expr& node, const FramePtr& frame) {
  std::vector<Value> values = evaluate_all(node.items, frame);
  line = node.line;
  TextBuilder out(*this);
  for (const Value& value : values) append_str(out, value);
  return string(out.take());
}

Value Interpreter::evaluate_compare(const Expr& node, const FramePtr& frame) {
  Value left = evaluate(*node.items[0], frame);
  for (size_t i = 0; i < node.compare.size(); ++i) {
    Value right = evaluate(*node.items[i + 1], frame);
    line = node.line;
    if (!compare(*this, node.compare[i], left, right)) return Value::boolean(false);
    left = std::move(right);
  }
  return Value::boolean(true);
}

Value Interpreter::evaluate_conditional(const Expr& node, const FramePtr& frame) {
  if (truthy(evaluate(*node.items[0], frame))) return evaluate(*node.items[1], frame);
  if (node.items[2]) return evaluate(*node.items[2], frame);
  return undefined(fmt::format(
      "the inline if-expression on line {} evaluated to false and no else section was defined.", node.line));
}

Value Interpreter::evaluate_slice(const Expr& node, const FramePtr& frame) {
  Value parts[4];
  for (size_t i = 0; i < 4; ++i) parts[i] = node.items[i] ? evaluate(*node.items[i], frame) : Value::none();
  line = node.line;
  return slice(*this, parts[0], parts[1], parts[2], parts[3]);
}

void Interpreter::evaluate_arguments(const CallArguments& source, const FramePtr& frame,
                                     Arguments& arguments) {
  for (const ExprPtr& argument : source.positional)
    arguments.positional.push_back(evaluate(*argument, frame));
  if (source.spread) {
    Value spread = evaluate(*source.spread, frame);
    for (Value& item : to_vector(*this, spread)) arguments.positional.push_back(std::move(item));
  }
  for (const auto& [name, argument] : source.named)
    arguments.named.push_back({MarkedText(name), evaluate(*argument, frame)});
  if (!source.named_spread) return;
  Value spread = evaluate(*source.named_spread, frame);
  if (spread.is_undefined()) fail("{}", spread.text());
  if (!spread.is(Kind::kDict)) fail("argument after ** must be a mapping, not {}", type_name(spread));
  SeededSet names;  // the keys of the dict differ from each other
  for (const NamedArgument& argument : arguments.named) names.insert(argument.name.text);
  for (const auto& [key, value] : spread.dict().entries) {
    if (!key.is_string()) fail("keywords must be strings");
    if (names.contains(key.text())) fail("got multiple values for keyword argument {}", quote(key.text()));
    step_bytes(key.text().size());
    arguments.named.push_back({MarkedText(key.marked()), value});
  }
}

Value Interpreter::evaluate_call(const Expr& node, const FramePtr& frame, const Value& caller) {
  Value callee = evaluate(*node.items[0], frame);
  Arguments arguments;
  if (!caller.is(Kind::kMissing)) arguments.named.push_back({MarkedText("caller"), caller});
  evaluate_arguments(node.arguments, frame, arguments);
  line = node.line;
  return call(callee, arguments);
}

Value Interpreter::evaluate_filter(const Expr& node, const FramePtr& frame, const Value* block_text) {
  Arguments arguments;
  const ExprPtr& subject = node.items[0];
  if (!subject)
    arguments.positional.push_back(*block_text);
  else if (block_text && subject->kind == ExprKind::kFilter)
    arguments.positional.push_back(evaluate_filter(*subject, frame, block_text));
  else
    arguments.positional.push_back(evaluate(*subject, frame));
  evaluate_arguments(node.arguments, frame, arguments);
  line = node.line;
  if (!node.filter) fail("{}", unknown_filter(node.name));
  return node.filter(*this, arguments);
}

Value Interpreter::evaluate_test(const Expr& node, const FramePtr& frame) {
  Arguments arguments;
  arguments.positional.push_back(evaluate(*node.items[0], frame));
  evaluate_arguments(node.arguments, frame, arguments);
  line = node.line;
  if (!node.test) fail("{}", unknown_test(node.name));
  return Value::boolean(node.test(*this, arguments));
}

}  // namespace reprise::tokenizer::jinja
