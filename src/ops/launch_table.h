// What an op launches, by kind of device. Schemas (ops/op.h) know no device; each device has a folder of
// launches (ops/cpu), which ends in one list.
#pragma once

#include <span>

#include "core/device.h"
#include "ops/op.h"

namespace reprise::ops {

struct OpLaunch {
  // Sends the launches of the op to the stream; `outputs` are allocated as the schema's `infer` said.
  void (*launch)(const OpCall& call, Stream& stream, std::span<const Tensor> outputs,
                 WorkspaceAllocator& workspace) = nullptr;
  // Asks for the workspace that `launch` will ask for: the same shapes in the same order. It launches
  // nothing, and the tensors of `call` have no bytes. Where it is null, `launch` itself is asked while a
  // stream records; so an op that takes workspace needs this function if it isn't capturable, or breaks a
  // rule of captures first.
  void (*plan_workspace)(const OpCall& call, WorkspaceAllocator& workspace) = nullptr;
};

struct LaunchEntry {
  const OpSchema* schema;
  OpLaunch launch;
};

// Null where devices of that kind have none.
const OpLaunch* find_launch(const OpSchema& schema, DeviceKind kind);
// Throws Error that names op and device where there is none.
const OpLaunch& launch_of(const OpSchema& schema, DeviceKind kind);

// For ops from outside; replaces what there is. `schema` must outlive the program. Not safe while another
// thread runs an op.
void register_launch(const OpSchema& schema, DeviceKind kind, OpLaunch launch);

}  // namespace reprise::ops
