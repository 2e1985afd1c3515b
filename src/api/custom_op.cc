// Ops from outside the tree: a function over rows becomes an op like any other, with a schema in the registry
// and a kernel that is launched through Stream::launch.
#include <algorithm>
#include <array>
#include <deque>
#include <span>

#include "api/model_access.h"
#include "core/error.h"
#include "ops/launch_table.h"
#include "ops/registry.h"

namespace reprise {
namespace {

using RowFunction = void (*)(const float*, float*, int64_t, int64_t) noexcept;

constexpr std::string_view kOpInputs[] = {"x"};
// Above the rows of any step: work that is no larger than its grain is one call on one thread.
constexpr int64_t kWholeStep = int64_t{1} << 40;

struct RowSchema : ops::OpSchema {
  std::string own_name;  // what `name` views
  RowFunction run;
};

struct RowScalars {
  RowFunction run;
  int64_t columns;
};

void run_f32(const KernelContext& context, int64_t begin, int64_t end) {
  const auto& [run, columns] = context.get_scalars<RowScalars>();
  run(context.buffer<const float>(0) + begin * columns, context.buffer<float>(1) + begin * columns,
      end - begin, columns);
}

// As many rows at a time as fit the worker's scratch memory as f32, in and out.
void run_bf16(const KernelContext& context, int64_t begin, int64_t end) {
  const auto& [run, columns] = context.get_scalars<RowScalars>();
  const auto capacity = static_cast<int64_t>(KernelContext::kScratchBytes / (2 * sizeof(float)));
  auto* const in = reinterpret_cast<float*>(context.scratch);
  float* const out = in + capacity;
  for (int64_t rows; begin < end; begin += rows) {
    rows = std::min(end - begin, capacity / columns);
    const uint16_t* const x = context.buffer<const uint16_t>(0) + begin * columns;
    uint16_t* const y = context.buffer<uint16_t>(1) + begin * columns;
    std::transform(x, x + rows * columns, in, bf16_to_f32);
    run(in, out, rows, columns);
    std::transform(out, out + rows * columns, y, f32_to_bf16);
  }
}

void infer_rows(const ops::OpCall& call, ops::OutputSpecs& outputs) {
  const Tensor& x = call.input(0);
  const int64_t columns = x.shape.rank() == 2 ? x.shape[1].constant : 0;
  if ((x.dtype != DType::f32 && x.dtype != DType::bf16) || x.packing.is_packed() || columns < 1 ||
      columns * 2 * sizeof(float) > KernelContext::kScratchBytes)
    throw Error("[{}] x is {} {}; expected float32 or bfloat16 [rows, 1 to {}] that an op computed",
                call.schema.name, name_of(x.dtype), to_string(x.shape),
                KernelContext::kScratchBytes / (2 * sizeof(float)));
  outputs.add(x.dtype, x.shape);
}

void launch_rows(const ops::OpCall& call, Stream& stream, std::span<const Tensor> outputs,
                 ops::WorkspaceAllocator&) {
  const auto& schema = static_cast<const RowSchema&>(call.schema);
  const Tensor& x = call.input(0);
  const int64_t columns = x.shape[1].constant;
  const int64_t grain = schema.capturable ? std::max<int64_t>(1, 4096 / columns) : kWholeStep;
  stream.launch(Kernel{schema.name, x.dtype == DType::f32 ? run_f32 : run_bf16},
                {.items = x.shape[0], .grain = grain}, {reads(x), writes(outputs[0])},
                RowScalars{.run = schema.run, .columns = columns});
}

}  // namespace

Op register_op(CustomOp op) {
  if (op.name.empty() || op.run == nullptr)
    throw Error("[register_op] '{}' has no {}; an op needs both a name and a function", op.name,
                op.name.empty() ? "name" : "function");
  if (op.pure && !op.capturable)
    throw Error(
        "[register_op] '{}' is pure and not capturable; a pure function can be replayed, so leave one of the two "
        "out",
        op.name);
  if (ops::find_op(op.name) != nullptr)
    throw Error("[register_op] there is an op '{}' already; choose another name", op.name);
  static std::deque<RowSchema> schemas;  // where they are, they stay
  RowSchema& schema = schemas.emplace_back();
  schema.own_name = std::move(op.name);
  schema.run = op.run;
  schema.name = schema.own_name;
  // Passes leave an opaque op as it is; what has no effects may be merged, dropped and cut to rows.
  schema.kind = op.pure ? ops::OpKind::elementwise : ops::OpKind::opaque;
  schema.input_names = kOpInputs;
  schema.row_wise = true;
  schema.capturable = op.capturable;
  schema.infer = infer_rows;
  ops::register_op(schema);
  ops::register_launch(schema, DeviceKind::cpu, {launch_rows});
  return Op(static_cast<const ops::OpSchema*>(&schema));
}

Value Op::call(std::initializer_list<const Value*> inputs, Where where) const {
  const auto& schema = *static_cast<const ops::OpSchema*>(schema_);
  if (inputs.size() != schema.input_names.size())
    throw Error("[{}] {} inputs; it has {}", schema.name, inputs.size(), schema.input_names.size());
  std::array<const Tensor*, 4> tensors{};
  size_t count = 0;
  for (const Value* input : inputs) {
    if (!*input)
      throw Error("[{}] {} is an empty value; give it the result of an op, an input or a weight", schema.name,
                  schema.input_names[count]);
    tensors[count++] = &ValueAccess::tensor(*input);
  }
  ops::OpCall call(schema, std::span(tensors).first(count), {});
  call.where = where;
  return ValueAccess::value(ops::dispatch_one(call));
}

Value Op::operator()(const Value& a, Where where) const {
  return call({&a}, where);
}
Value Op::operator()(const Value& a, const Value& b, Where where) const {
  return call({&a, &b}, where);
}
Value Op::operator()(const Value& a, const Value& b, const Value& c, Where where) const {
  return call({&a, &b, &c}, where);
}
Value Op::operator()(const Value& a, const Value& b, const Value& c, const Value& d, Where where) const {
  return call({&a, &b, &c, &d}, where);
}

}  // namespace reprise
