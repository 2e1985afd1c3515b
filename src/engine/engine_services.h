// What an engine runs on, made and owned by who links it: a device; where there is one, a kernel compiler; and
// where several processes run one engine, what they talk by.
#pragma once

#include "core/communicator.h"
#include "core/device.h"
#include "engine/config/graph_config.h"
#include "graph/kernel_compiler.h"

namespace reprise::engine {

// All of it outlives the engine.
struct EngineServices {
  // A device alone serves levels 0 and 1.
  EngineServices(Device& on, graph::KernelCompiler* with = nullptr,  // NOLINT: a device is enough
                 Communicator* between = nullptr)
      : device(on), compiler(with), communicator(between) {}

  GraphCapabilities can() const {
    return {.has_compiler = compiler != nullptr, .one_recording_fits = device.replays_any_size()};
  }

  Device& device;
  graph::KernelCompiler* compiler;  // null: level 2 is refused
  Communicator* communicator;       // null: this process is alone
};

// The compiler, for level 2. Throws Error where it makes kernels for another device or level than the one that
// is there: they might have other bits, or not run at all.
graph::KernelCompiler& compiler_for(const EngineServices& services);

}  // namespace reprise::engine
