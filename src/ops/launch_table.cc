#include "ops/launch_table.h"

#include <algorithm>
#include <array>
#include <functional>
#include <vector>

#include "core/error.h"
#include "ops/cpu/launches.h"

namespace reprise::ops {
namespace {

// Sorted by the schemas' addresses: an op that runs eagerly looks its launch up in every step.
using Table = std::vector<LaunchEntry>;

bool before(const LaunchEntry& entry, const OpSchema* schema) {
  return std::less<>()(entry.schema, schema);
}

void insert(Table& table, const LaunchEntry& entry) {
  const auto at = std::lower_bound(table.begin(), table.end(), entry.schema, before);
  if (at != table.end() && at->schema == entry.schema)
    *at = entry;
  else
    table.insert(at, entry);
}

std::array<Table, kDeviceKinds> built_in() {
  std::array<Table, kDeviceKinds> tables;
  for (const std::span<const LaunchEntry> list : cpu::launches())
    for (const LaunchEntry& entry : list) insert(tables[static_cast<size_t>(DeviceKind::cpu)], entry);
  return tables;
}

Table& table_of(DeviceKind kind) {
  static std::array<Table, kDeviceKinds> tables = built_in();
  return tables[static_cast<size_t>(kind)];
}

}  // namespace

const OpLaunch* find_launch(const OpSchema& schema, DeviceKind kind) {
  const Table& table = table_of(kind);
  const auto at = std::lower_bound(table.begin(), table.end(), &schema, before);
  return at != table.end() && at->schema == &schema ? &at->launch : nullptr;
}

const OpLaunch& launch_of(const OpSchema& schema, DeviceKind kind) {
  if (schema.generated != nullptr) return *schema.generated;
  if (const OpLaunch* launch = find_launch(schema, kind)) return *launch;
  throw Error("[{}] the op has no kernel for the device '{}'; use another device, or add one", schema.name,
              name_of(kind));
}

void register_launch(const OpSchema& schema, DeviceKind kind, OpLaunch launch) {
  insert(table_of(kind), {&schema, launch});
}

}  // namespace reprise::ops
