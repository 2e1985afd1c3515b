#include "engine/engine_services.h"

#include "core/error.h"

namespace reprise::engine {

graph::KernelCompiler& compiler_for(const EngineServices& services) {
  REPRISE_CHECK(services.compiler != nullptr, "level 2 without a compiler");
  graph::KernelCompiler& compiler = *services.compiler;
  const Device& device = services.device;
  if (compiler.device() != device.kind() || compiler.level() != device.level())
    throw Error("[graph] the compiler {} makes kernels for {} {}, but the device is {} {}; make one for it",
                compiler.name(), reprise::name_of(compiler.device()), compiler.level(),
                reprise::name_of(device.kind()), device.level());
  return compiler;
}

}  // namespace reprise::engine
