#include "ops/registry.h"

#include <vector>

#include "ops/attention.h"
#include "ops/elementwise.h"
#include "ops/embedding.h"
#include "ops/matmul.h"
#include "ops/norm.h"
#include "ops/rotary.h"
#include "ops/rotary_kv_write.h"
#include "ops/sampling.h"

namespace reprise::ops {
namespace {

std::vector<const OpSchema*>& list() {
  static std::vector<const OpSchema*> schemas = {
      &kAdd,         &kMul,       &kSilu,         &kGelu,          &kGeluTanh,  &kSiluMul,        &kGeluMul,
      &kGeluTanhMul, &kEmbedding, &kGatherRows,   &kRmsNorm,       &kLayerNorm, &kAddRmsNorm,     &kMatmul,
      &kMatmulGroup, &kRotary,    &kRotaryAngles, &kRotaryKvWrite, &kKvWrite,   &kPagedAttention, &kSample,
  };
  return schemas;
}

}  // namespace

std::span<const OpSchema* const> all_ops() {
  return list();
}

const OpSchema* find_op(std::string_view name) {
  for (const OpSchema* schema : list())
    if (schema->name == name) return schema;
  return nullptr;
}

void register_op(const OpSchema& schema) {
  std::erase_if(list(), [&](const OpSchema* known) { return known->name == schema.name; });
  list().push_back(&schema);
}

}  // namespace reprise::ops
