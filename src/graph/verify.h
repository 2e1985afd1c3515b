// What must hold of a graph, checked after every pass: each value is defined once and before its uses; types
// are what the ops infer; arity and attributes are the schema's; versions of a state are read in their order
// (no node reads a version after a newer one is defined), every mutated input has its new version, and no
// write to a state is missing that `before` (if given) had; storage is shared only with an input whose last
// use that is, that the schema allows, of the same bytes, and that is neither returned nor comes from
// outside.
#pragma once

#include <string>
#include <vector>

#include "graph/graph.h"

namespace reprise::graph {

// Lines of what is wrong, each with the node's op, layer and number; empty: the graph is sound.
std::vector<std::string> problems_of(const Graph& graph, const Graph* before = nullptr);
// Throws InternalError with all of them; `after` names the pass that ran last, which caused them.
void verify(const Graph& graph, std::string_view after, const Graph* before = nullptr);

}  // namespace reprise::graph
