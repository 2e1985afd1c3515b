// Ops from outside the tree that are an expression of each element: the expression becomes the body of an op,
// which the interpreter of loop programs runs and a compiler fuses.
#include <array>
#include <atomic>
#include <deque>
#include <vector>

#include "api/model_access.h"
#include "core/error.h"
#include "loop/builder.h"
#include "loop/functions.h"
#include "ops/cpu/loop.h"
#include "ops/launch_table.h"
#include "ops/loop_body.h"
#include "ops/registry.h"

namespace reprise {

// The expression that this thread is writing. An Expr names it by number, since it may be kept for longer.
class Writing {
 public:
  explicit Writing(loop::Builder& builder) : builder_(builder), before_(current_) {
    static std::atomic<uint64_t> count{0};
    number_ = ++count;
    current_ = this;
  }
  ~Writing() { current_ = before_; }
  Writing(const Writing&) = delete;
  Writing& operator=(const Writing&) = delete;

  loop::Builder& builder() const { return builder_; }
  uint64_t number() const { return number_; }
  static Writing& of(uint64_t number) {
    if (current_ == nullptr || current_->number_ != number)
      throw Error(
          "[register_elementwise] an expression uses an element of another one; use its arguments alone");
    return *current_;
  }

 private:
  loop::Builder& builder_;
  Writing* before_;
  uint64_t number_ = 0;
  static thread_local Writing* current_;
};
thread_local Writing* Writing::current_ = nullptr;

struct ExprAccess {
  static Expr of(const Writing& writing, loop::Value value) {
    Expr expr(0.0f);
    expr.expression_ = writing.number();
    expr.id_ = value.id;
    return expr;
  }
  static bool is_number(const Expr& expr) { return expr.expression_ == 0; }
  static float number(const Expr& expr) { return expr.number_; }
  static uint64_t expression(const Expr& expr) { return expr.expression_; }
  static loop::Value in(const Writing& writing, const Expr& expr) {
    if (is_number(expr)) return writing.builder().constant(expr.number_);
    return {&Writing::of(expr.expression_).builder(), expr.id_};
  }
};

namespace {

using ExpressionFunction = std::function<Expr(const Expr*)>;

// `make` of the arguments as values of the expression that is being written; numbers become constants of it.
template <typename Make, typename... Args>
Expr combine(std::string_view what, Make make, const Args&... args) {
  uint64_t expression = 0;
  ((expression = expression != 0 ? expression : ExprAccess::expression(args)), ...);
  if (expression == 0) throw Error("[register_elementwise] {} of numbers alone; compute it before", what);
  const Writing& writing = Writing::of(expression);
  return ExprAccess::of(writing, make(ExprAccess::in(writing, args)...));
}

// Calls `expression` with these values of `builder`.
loop::Value write_expression(loop::Builder& builder, const ExpressionFunction& expression,
                             std::span<const loop::Value> inputs) {
  const Writing writing(builder);
  std::vector<Expr> arguments;
  arguments.reserve(inputs.size());
  for (const loop::Value& input : inputs) arguments.push_back(ExprAccess::of(writing, input));
  return ExprAccess::in(writing, expression(arguments.data()));
}

constexpr std::array<std::string_view, 4> kNames = {"a", "b", "c", "d"};

struct ExpressionSchema : ops::OpSchema {
  std::string own_name;  // what `name` views
  ExpressionFunction expression;

  static const ExpressionSchema& of(const ops::OpCall& call) {
    return static_cast<const ExpressionSchema&>(call.schema);
  }
};

void expression_body(const ops::OpCall& call, std::span<const loop::Value> inputs,
                     std::span<loop::Value> outputs) {
  outputs[0] = write_expression(*inputs[0].builder, ExpressionSchema::of(call).expression, inputs);
}

void infer_expression(const ops::OpCall& call, ops::OutputSpecs& outputs) {
  const Tensor& first = call.input(0);
  const int64_t columns = first.shape.rank() == 2 ? first.shape[1].constant : 0;
  for (int i = 0; i < call.input_count; ++i) {
    const Tensor& input = call.input(i);
    const bool rows = input.shape == first.shape && input.dtype == first.dtype && columns > 0 &&
                      (first.dtype == DType::f32 || first.dtype == DType::bf16);
    const bool per_column = i > 0 && ops::is_per_column(input.shape) && input.shape[0].constant == columns &&
                            input.dtype == DType::f32;
    if (input.packing.is_packed() || (!rows && !per_column))
      throw Error("[{}] {} is {} {}; expected {}", call.schema.name, kNames[static_cast<size_t>(i)],
                  name_of(input.dtype), to_string(input.shape),
                  i == 0 ? std::string("float32 or bfloat16 [rows, columns] that an op computed")
                         : fmt::format("{} {} or float32 [{}]", name_of(first.dtype), to_string(first.shape),
                                       columns));
  }
  outputs.add(first.dtype, first.shape);
}

}  // namespace

Expr operator+(Expr a, Expr b) {
  return combine(
      "a sum", [](auto x, auto y) { return x + y; }, a, b);
}
Expr operator-(Expr a, Expr b) {
  return combine(
      "a difference", [](auto x, auto y) { return x - y; }, a, b);
}
Expr operator*(Expr a, Expr b) {
  return combine(
      "a product", [](auto x, auto y) { return x * y; }, a, b);
}
Expr operator/(Expr a, Expr b) {
  return combine(
      "a quotient", [](auto x, auto y) { return x / y; }, a, b);
}
Expr operator-(Expr a) {
  if (ExprAccess::is_number(a)) return {-ExprAccess::number(a)};
  return combine(
      "a negative", [](auto x) { return negate(x); }, a);
}
Expr fma(Expr a, Expr b, Expr c) {
  return combine(
      "fma", [](auto x, auto y, auto z) { return fma(x, y, z); }, a, b, c);
}
Expr min(Expr a, Expr b) {
  return combine(
      "min", [](auto x, auto y) { return min(x, y); }, a, b);
}
Expr max(Expr a, Expr b) {
  return combine(
      "max", [](auto x, auto y) { return max(x, y); }, a, b);
}
Expr abs(Expr a) {
  return combine(
      "abs", [](auto x) { return abs(x); }, a);
}
Expr sqrt(Expr a) {
  return combine(
      "sqrt", [](auto x) { return sqrt(x); }, a);
}
Expr exp(Expr a) {
  return combine(
      "exp", [](auto x) { return exp(x); }, a);
}
Expr tanh(Expr a) {
  return combine(
      "tanh", [](auto x) { return tanh(x); }, a);
}
Expr erf(Expr a) {
  return combine(
      "erf", [](auto x) { return erf(x); }, a);
}
Expr sigmoid(Expr a) {
  return combine(
      "sigmoid", [](auto x) { return loop::functions::sigmoid(x); }, a);
}
Expr where_less(Expr a, Expr b, Expr then, Expr otherwise) {
  return combine(
      "where_less", [](auto x, auto y, auto z, auto w) { return select_less(x, y, z, w); }, a, b, then,
      otherwise);
}

Op register_expression(std::string name, int inputs, ExpressionFunction expression) {
  if (name.empty() || inputs < 1 || inputs > static_cast<int>(kNames.size()) || !expression)
    throw Error("[register_elementwise] '{}' has no name, no expression, or {} inputs; expected 1 to {}",
                name, inputs, kNames.size());
  if (ops::find_op(name) != nullptr)
    throw Error("[register_elementwise] there is an op '{}' already; choose another name", name);
  {  // What is wrong with the expression shows here, not in a step.
    loop::Builder builder("trial", 1);
    std::vector<loop::Value> arguments;
    for (int i = 0; i < inputs; ++i)
      arguments.push_back(
          builder.read(std::string(kNames[static_cast<size_t>(i)]), DType::f32, loop::Place::row));
    builder.write("y", DType::f32, write_expression(builder, expression, arguments));
    static_cast<void>(builder.finish());
  }
  static std::deque<ExpressionSchema> schemas;  // where they are, they stay
  ExpressionSchema& schema = schemas.emplace_back();
  schema.own_name = std::move(name);
  schema.expression = std::move(expression);
  schema.name = schema.own_name;
  schema.kind = ops::OpKind::elementwise;
  schema.input_names = std::span(kNames).first(static_cast<size_t>(inputs));
  schema.row_wise = true;
  schema.may_share = {static_cast<uint16_t>((1u << inputs) - 1)};
  schema.infer = infer_expression;
  schema.body = expression_body;
  ops::register_op(schema);
  ops::register_launch(schema, DeviceKind::cpu, {ops::cpu::launch_body});
  return Op(static_cast<const ops::OpSchema*>(&schema));
}

}  // namespace reprise
