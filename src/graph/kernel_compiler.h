// Interface of a compiler that turns groups of nodes into generated kernels (level 2), and the list of those
// that are linked in. Levels 0 and 1 don't need one.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/device.h"
#include "core/error.h"
#include "graph/graph.h"

namespace reprise::graph {

// Nodes that may run as one op at the place of the last of them. One that has effects is alone.
struct FusionGroup {
  std::vector<NodeId> nodes;    // ascending
  std::vector<ValueId> inputs;  // what they read from outside the group, each once, in the order of reading
  std::vector<ValueId>
      outputs;  // what others read of them, in the order of definition; of one with effects all
};

// What the user said about compiling.
struct CompilerOptions {
  std::string cache = {};     // directory of compiled kernels, "off", or empty: where the user's caches are
  bool before_ready = false;  // wait for all kernels instead of exchanging them while serving
  bool makes_code = true;     // false: only the ops are wanted, for looking at graphs and plans
  bool trials = true;         // kernels are timed in variants and beside their parts
  bool debug = false;         // profilers and debuggers see the kernels' names
};

// The key of CompilerReport::not_compiled where no compiler could be started.
inline constexpr std::string_view kNoCompiler = "no_compiler";
// The same of kernels whose groups stay in parts (SlowerThanParts).
inline constexpr std::string_view kSlower = "slower";

// What compile() throws for a group that runs as fast node by node: no failure. Says what was measured.
struct SlowerThanParts : Error {
  using Error::Error;
};

// What became of the kernels so far.
struct CompilerReport {
  std::string compiler = {};  // "llvm 19.1.7"; empty: none was needed, or none is there
  int64_t kernels = 0;        // different ones
  int64_t compiled = 0;
  int64_t from_cache = 0;  // or from an artefact
  int64_t rejected = 0;    // cache entries that were damaged, and made again
  std::map<std::string, int64_t> not_compiled =
      {};                          // reason, such as kNoCompiler; kernels, which are interpreted
  double ms = 0;                   // of compiling
  double trials_ms = 0;            // of timing
  std::string cache_dir = {};      // empty: off, or nothing was looked for in it
  std::string failure = {};        // of the first kernel that was not compiled, in words
  std::string cache_warning = {};  // why the cache is not used, or not in full; may appear later
};

// What it gives computes the group's outputs with the bits of its nodes run one by one; there is no tolerance.
// Thread contract: one thread at a time.
class KernelCompiler {
 public:
  virtual ~KernelCompiler() = default;
  virtual std::string_view name() const = 0;  // "llvm 19.1.7"
  // Whose kernels it makes: Device::kind() and Device::level().
  virtual DeviceKind device() const = 0;
  virtual std::string_view level() const = 0;

  // Whether the group can become one op. Asked for groups of one node and for every larger one on the way. A node that
  // nothing is known about (an opaque one) can not.
  virtual bool accepts(const Graph& graph, const FusionGroup& group) const = 0;
  // Whether a group that it accepts, and that grows no further, is worth compiling: what groups may begin at need not be.
  virtual bool gains(const Graph&, const FusionGroup&) const { return true; }
  // Why it does not accept the group, in a few words, for reports; empty: it does, or does not say.
  virtual std::string why_not(const Graph&, const FusionGroup&) const { return {}; }
  // An op with the group's inputs and outputs, in their order, no attributes, and a launch of its own
  // (OpSchema::generated); of a node with effects it mutates the same values. One op may serve many groups. The compiler owns it and all that it names, its
  // kernels' names among them, and outlives every graph that holds it. Throws what a tool chain throws, or
  // SlowerThanParts; the group then runs node by node.
  // Code that is made in the background takes its place by itself, with the same bits, at any moment.
  virtual const ops::OpSchema& compile(const Graph& graph, const FusionGroup& group) = 0;

  // What is known of the kernel of a group that compile() was asked for: lines for reports, empty where nothing is.
  virtual std::string facts(const Graph&, const FusionGroup&) const { return {}; }

  // False: it can only hand out what was compiled before, so that code may be missing.
  virtual bool can_compile() const { return true; }
  // Called when all graphs are made. Throws Error, naming the package and the level to use, where code is
  // missing that nothing here can make, as far as that shows within some 10 ms. With CompilerOptions::before_ready
  // it waits for that, and returns when all code is there.
  virtual void ready() {}
  // Returns when nothing is being compiled.
  virtual void settle() {}
  virtual CompilerReport report() const { return {}; }  // any thread
};

using CompilerFactory = std::function<std::unique_ptr<KernelCompiler>(const Device&, const CompilerOptions&)>;

// A program that links a compiler says so before it loads a model; a second one for a kind replaces the first.
// An empty factory takes it away. Not safe while another thread loads a model.
void register_compiler(DeviceKind kind, CompilerFactory factory);
// The one that a program brought; empty where it brought none.
const CompilerFactory& find_compiler(DeviceKind kind);

}  // namespace reprise::graph
