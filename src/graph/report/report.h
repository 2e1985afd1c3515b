// Graphs for people: DOT text for graphviz, and one HTML page that needs nothing else.
#pragma once

#include <string>
#include <vector>

#include "graph/graph.h"
#include "graph/memory_plan.h"

namespace reprise::graph {

// What is shown; everything but the graph may be left out. Pointers outlive the call.
struct Report {
  std::string title = {};
  const Graph* graph = nullptr;
  const Graph* traced = nullptr;        // before the passes: what each node stands for
  const MemoryPlan* plan = nullptr;     // of `graph`: lifetimes in the arena
  std::vector<std::string> marks = {};  // by node: "replayed", "split: attention", ""; or empty
  std::vector<std::string> notes = {};  // lines at the top: passes and their times, flags
};

std::string to_dot(const Report& report);
std::string to_html(const Report& report);

// By node of `graph`: the nodes of `traced` whose work it does, ascending. A traced node of which nothing is
// left counts to those that use what it made; one that appears nowhere was dead or folded.
std::vector<std::vector<NodeId>> nodes_stood_for(const Graph& graph, const Graph& traced);

}  // namespace reprise::graph
