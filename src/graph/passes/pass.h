// A pass rewrites a graph into an equivalent one. All passes are listed in pass_list.cc and run in that
// order; each is timed, its result is verified, and it can be switched off by name.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"

namespace reprise::graph {

// Evaluates a node all of whose inputs are constants, at start-up; the results live as long as the backend.
class ConstantFolder {
 public:
  // Tensors of the node's outputs. `inputs` by position, empty tensors where absent.
  virtual std::vector<Tensor> fold(const Graph& graph, const Node& node) = 0;
  // A new constant that the pass computed itself: i32 or f32, copied.
  virtual Tensor constant(DType dtype, const Shape& shape, const void* bytes) = 0;

 protected:
  ~ConstantFolder() = default;
};

class KernelCompiler;

// What became of a group of nodes that the compiler was given.
struct GroupRun {
  std::string layer;             // of its last node
  std::vector<std::string> ops;  // of its nodes, in order
  std::string kernel;            // the op that replaced them; empty: they run node by node
  std::string failure;           // why, then
  std::string in_parts = {};     // in place of a failure: what was measured

  // For reports (PassContext::explain).
  struct Neighbour {  // a node that reads what the group writes, or makes what it reads
    std::string op, why_not;
    bool reads = false;
  };
  std::vector<std::string> sources = {};  // of its nodes, each once
  Dim bytes = {};                         // of rows that the group reads and writes
  Dim bytes_of_parts = {};                // that its nodes would, one by one
  std::vector<Neighbour> neighbours = {};
  std::string facts = {};  // KernelCompiler::facts()
};

struct PassContext {
  ConstantFolder* folder = nullptr;           // null: nothing is folded (no device: plans, text tests)
  int64_t max_model_len = 0;                  // positions that a table must cover; 0: not known, no tables
  size_t max_table_bytes = size_t{64} << 20;  // of constants that a pass may add in all
  KernelCompiler* compiler = nullptr;         // null: nothing is compiled (levels 0 and 1)
  std::vector<GroupRun>* groups = nullptr;    // where the compiled groups are noted, if not null
  bool explain = false;                       // with all that reports say about them
};

struct Pass {
  std::string_view name;                            // "fuse_gate"
  std::string_view what;                            // one line for reports
  bool (*run)(Graph& graph, PassContext& context);  // true: it changed something
};

std::span<const Pass> pass_list();

struct PassRun {
  std::string_view name;
  double microseconds = 0;
  bool changed = false;
  size_t nodes_before = 0, nodes_after = 0;
};

struct PassOptions {
  std::vector<std::string> disabled;  // names; an unknown one is an Error that suggests the nearest
  std::function<void(const Pass&, const Graph&)> after_each;  // dumps
};

// Runs the list; verifies after each pass, which throws InternalError naming the pass.
std::vector<PassRun> run_passes(Graph& graph, PassContext& context, const PassOptions& options = {});

}  // namespace reprise::graph
