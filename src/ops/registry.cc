#include "ops/registry.h"

#include <vector>

#include "ops/cpu/launches.h"

namespace reprise::ops {
namespace {

// Every op of Reprise runs on a CPU, so its list of launches is the list of ops.
std::vector<const OpSchema*> built_in_ops() {
  std::vector<const OpSchema*> schemas;
  for (const std::span<const LaunchEntry> launches : cpu::launches())
    for (const LaunchEntry& entry : launches) schemas.push_back(entry.schema);
  return schemas;
}

std::vector<const OpSchema*>& list() {
  static std::vector<const OpSchema*> schemas = built_in_ops();
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
