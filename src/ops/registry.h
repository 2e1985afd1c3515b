// Finds ops by name, for reading graphs from text. They are those that the CPU has launches of
// (ops/cpu/launches.h), which are listed explicitly: objects that register themselves would be dropped by the
// linker from a static library. A program that embeds Reprise may add ops
// of its own.
#pragma once

#include <span>
#include <string_view>

#include "ops/op.h"

namespace reprise::ops {

// Those of Reprise, then those registered.
std::span<const OpSchema* const> all_ops();
// Null where there is none.
const OpSchema* find_op(std::string_view name);
// `schema` must outlive the program. Not safe while another thread traces or parses a graph.
void register_op(const OpSchema& schema);

}  // namespace reprise::ops
