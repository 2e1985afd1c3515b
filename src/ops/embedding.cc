#include "ops/embedding.h"

#include "core/error.h"

namespace reprise::ops {
namespace {

constexpr std::string_view kEmbeddingInputs[] = {"ids", "weight"};
constexpr std::string_view kGatherInputs[] = {"x", "rows"};

void infer_embedding(const OpCall& call, OutputSpecs& outputs) {
  const Tensor& ids = call.input(0);
  const Tensor& weight = call.input(1);
  if (ids.dtype != DType::i32 || ids.shape.rank() != 1 || !weight.packing.is_packed() ||
      weight.shape.rank() != 2)
    throw Error(
        "[embedding] ids are {} {}, the weight {}; expected int32 [rows] and a packed [vocabulary, dim]",
        name_of(ids.dtype), to_string(ids.shape), to_string(weight.shape));
  outputs.add(weight.dtype, Shape{ids.shape[0], weight.shape[1]});
}

void infer_gather(const OpCall& call, OutputSpecs& outputs) {
  const Tensor& x = call.input(0);
  const Tensor& rows = call.input(1);
  if (x.shape.rank() != 2 || rows.dtype != DType::i32 || rows.shape.rank() != 1)
    throw Error("[gather_rows] x is {}, rows are {} {}; expected [T, dim] and int32 [n]", to_string(x.shape),
                name_of(rows.dtype), to_string(rows.shape));
  outputs.add(x.dtype, Shape{rows.shape[0], x.shape[1]});
}

}  // namespace

const OpSchema kEmbedding{.name = "embedding",
                          .kind = OpKind::data_movement,
                          .input_names = kEmbeddingInputs,
                          .row_wise = true,
                          .infer = infer_embedding};
const OpSchema kGatherRows{.name = "gather_rows",
                           .kind = OpKind::data_movement,
                           .input_names = kGatherInputs,
                           .infer = infer_gather};

Tensor embedding(const Tensor& ids, const Tensor& weight, Where where) {
  return dispatch_one(OpCall(kEmbedding, {&ids, &weight}, {}, where));
}
Tensor gather_rows(const Tensor& x, const Tensor& rows, Where where) {
  return dispatch_one(OpCall(kGatherRows, {&x, &rows}, {}, where));
}

}  // namespace reprise::ops
