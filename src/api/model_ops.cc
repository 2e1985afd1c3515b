// The ops of the public API (namespace nn): checks arguments, since model code from outside may pass
// anything, and calls the ops of src/ops, which assume that arguments are valid.
#include <cmath>
#include <cstring>

#include "api/model_access.h"
#include "core/error.h"
#include "models/layers/rope.h"
#include "ops/attention.h"
#include "ops/elementwise.h"
#include "ops/embedding.h"
#include "ops/matmul.h"
#include "ops/norm.h"
#include "ops/rotary.h"

namespace reprise::nn {
namespace {

const Tensor& given(std::string_view op, std::string_view argument, const Value& value) {
  if (!value)
    throw Error("[{}] {} is an empty value; give it the result of an op, an input or a weight", op, argument);
  return ValueAccess::tensor(value);
}

// Rows of floating-point numbers: what ops compute with.
const Tensor& activations(std::string_view op, std::string_view argument, const Value& value) {
  const Tensor& tensor = given(op, argument, value);
  if ((tensor.dtype != DType::f32 && tensor.dtype != DType::bf16) || tensor.shape.rank() != 2 ||
      tensor.packing.is_packed())
    throw Error("[{}] {} is {}{}; expected float32 or bfloat16 [rows, columns] that an op computed", op,
                argument, value.to_string(), tensor.packing.is_packed() ? ", a packed weight" : "");
  return tensor;
}

Value value(Tensor tensor) {
  return ValueAccess::value(std::move(tensor));
}

Value matmul(std::string_view op, const Value& x, const Value& weight, const Value& bias,
             std::optional<DType> out, Where where) {
  const Tensor& rows = activations(op, "x", x);
  return value(ops::matmul(rows, given(op, "the weight", weight), ValueAccess::tensor(bias),
                           out.value_or(rows.dtype), where));
}

const Tensor& cached(const models::ForwardInput& forward, int64_t layer, bool values) {
  const models::KvLayer& kv = forward.kv->layers[static_cast<size_t>(layer)];
  return values ? kv.values : kv.keys;
}

ops::AttentionParams attention_params(const KvCache& cache, const AttentionOptions& options) {
  const ModelInputs::Impl& inputs = cache.inputs();
  const models::PagedKvView& kv = *inputs.forward.kv;
  if (options.window < 0 || !std::isfinite(options.scale))
    throw Error("[attention] a window of {} and a scale of {}; 0 stands for none and 1 / sqrt(head_dim)",
                options.window, options.scale);
  return {.heads = inputs.config.num_heads,
          .kv_heads = inputs.config.num_kv_heads,
          .head_dim = inputs.config.head_dim,
          .scale = options.scale != 0 ? options.scale
                                      : 1.0 / std::sqrt(static_cast<double>(inputs.config.head_dim)),
          .window = options.window,
          .block_size = kv.block_size,
          .max_model_len = kv.max_model_len,
          .partition_size = kv.partition_size};
}

}  // namespace

Value embedding(const Value& ids, const Value& table, Where where) {
  return value(ops::embedding(given("embedding", "ids", ids), given("embedding", "the table", table), where));
}
Value linear(const Value& x, const Value& weight, const Value& bias, Where where) {
  return matmul("linear", x, weight, bias, std::nullopt, where);
}
Value logits(const Value& x, const Value& weight, Where where) {
  return matmul("logits", x, weight, {}, DType::f32, where);
}
Value gather_rows(const Value& x, const Value& rows, Where where) {
  return value(
      ops::gather_rows(activations("gather_rows", "x", x), given("gather_rows", "rows", rows), where));
}

Value rms_norm(const Value& x, const Value& weight, double eps, Where where) {
  return value(
      ops::rms_norm(activations("rms_norm", "x", x), given("rms_norm", "the weight", weight), eps, where));
}
Value layer_norm(const Value& x, const Value& weight, const Value& bias, double eps, Where where) {
  const Tensor& scale = given("layer_norm", "the weight", weight);
  const Tensor& shift = ValueAccess::tensor(bias);
  if (bias && (shift.dtype != DType::f32 || shift.shape != scale.shape))
    throw Error("[layer_norm] the bias is {}, the weight {}; they must be alike", bias.to_string(),
                weight.to_string());
  return value(ops::layer_norm(activations("layer_norm", "x", x), scale, shift, eps, where));
}

Value add(const Value& a, const Value& b, Where where) {
  return value(ops::add(activations("add", "a", a), activations("add", "b", b), where));
}
Value mul(const Value& a, const Value& b, Where where) {
  return value(ops::mul(activations("mul", "a", a), activations("mul", "b", b), where));
}
Value silu(const Value& x, Where where) {
  return value(ops::silu(activations("silu", "x", x), where));
}
Value gelu(const Value& x, Where where) {
  return value(ops::gelu(activations("gelu", "x", x), where));
}
Value gelu_tanh(const Value& x, Where where) {
  return value(ops::gelu_tanh(activations("gelu_tanh", "x", x), where));
}

struct Rotary::Impl {
  RotaryOptions options;
  int64_t head_dim;
  ops::RotaryParams params;
  Value inv_freq;  // f32 [rot_dim / 2]
};

Rotary::Rotary(WeightReader& weights, const RotaryOptions& options) {
  const weights::ModelConfig& config = weights.impl().config;
  models::Rope rope = models::make_rope(config.rope, config.head_dim, config.max_position_embeddings);
  rope.params.rounded_to = options.in_f32 ? DType::f32 : weights.impl().loader.dtype();
  impl_ = std::make_shared<Impl>(Impl{.options = options,
                                      .head_dim = config.head_dim,
                                      .params = rope.params,
                                      .inv_freq = weights.constant("rope.inv_freq", rope.inv_freq)});
}

Rotary::Angles::Angles(const Rotary& rotary, Value cos, Value sin)
    : rotary_(rotary), cos_(std::move(cos)), sin_(std::move(sin)) {}

Rotary::Angles Rotary::angles(const ModelInputs& inputs, Where where) const {
  ops::RotaryAngles angles =
      ops::rotary_angles(inputs.impl().input("positions"), inputs.impl().input("rope_lengths"),
                         ValueAccess::tensor(impl_->inv_freq), impl_->params, where);
  return {*this, value(std::move(angles.cos)), value(std::move(angles.sin))};
}

Value Rotary::Angles::turn(const Value& x, Where where) const {
  const Impl& impl = *rotary_.impl_;
  return value(ops::rotary(
      activations("rotary", "x", x), {.cos = ValueAccess::tensor(cos_), .sin = ValueAccess::tensor(sin_)},
      impl.head_dim, impl.options.interleaved ? ops::RotaryStyle::interleaved : ops::RotaryStyle::half,
      !impl.options.in_f32, where));
}

void kv_write(const Value& k, const Value& v, const KvCache& cache, Where where) {
  const models::ForwardInput& forward = cache.inputs().forward;
  ops::kv_write(activations("kv_write", "k", k), activations("kv_write", "v", v),
                cache.inputs().input("slots"), cached(forward, cache.layer(), false),
                cached(forward, cache.layer(), true), attention_params(cache, {}), where);
}

Value paged_attention(const Value& q, const KvCache& cache, const AttentionOptions& options, Where where) {
  const ModelInputs::Impl& inputs = cache.inputs();
  return value(ops::paged_attention(
      activations("paged_attention", "q", q), cached(inputs.forward, cache.layer(), false),
      cached(inputs.forward, cache.layer(), true), inputs.input("block_tables"), inputs.input("seq_of_token"),
      inputs.input("positions"), attention_params(cache, options), where));
}

Value attention(const Value& q, const Value& k, const Value& v, const KvCache& cache,
                const AttentionOptions& options, Where where) {
  kv_write(k, v, cache, where);
  return paged_attention(q, cache, options, where);
}

float host_read(const Value& x, int64_t row, int64_t column) {
  const Tensor& tensor = given("host_read", "x", x);
  const int64_t columns = x.columns();
  const int64_t element = row * columns + column;
  const auto size = static_cast<int64_t>(size_of(tensor.dtype));
  if (tensor.packing.is_packed() || row < 0 || column < 0 || column >= columns ||
      tensor.offset + (element + 1) * size > static_cast<int64_t>(tensor.buffer->bytes))
    throw Error("[host_read] there is no element ({}, {}) in {}", row, column, x.to_string());
  const std::byte* const at = ops::host_read(tensor) + element * size;
  const auto as = [&]<typename T>(T bits) {
    std::memcpy(&bits, at, sizeof(T));
    return bits;
  };
  switch (tensor.dtype) {
    case DType::f32:
      return as(float{});
    case DType::bf16:
      return bf16_to_f32(as(uint16_t{}));
    case DType::i32:
      return static_cast<float>(as(int32_t{}));
    case DType::f16:
    case DType::i8:
      break;
  }
  throw Error("[host_read] {} is not read by the host", x.to_string());
}

}  // namespace reprise::nn
