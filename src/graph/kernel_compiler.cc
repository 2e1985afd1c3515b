#include "graph/kernel_compiler.h"

#include <array>
#include <utility>

namespace reprise::graph {
namespace {

CompilerFactory& factory_of(DeviceKind kind) {
  static std::array<CompilerFactory, kDeviceKinds> factories;
  return factories[static_cast<size_t>(kind)];
}

}  // namespace

void register_compiler(DeviceKind kind, CompilerFactory factory) {
  factory_of(kind) = std::move(factory);
}

const CompilerFactory& find_compiler(DeviceKind kind) {
  return factory_of(kind);
}

}  // namespace reprise::graph
