// Settings of graph optimisation: parses what the user wrote, strictly (a misspelt key that is ignored costs
// hours), and resolves it for given limits into the sizes to capture. docs/graph-optimization.md is the
// user's page.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/config/capture_sizes.h"

namespace reprise::engine {

// --graph-verify: replays compared with the model's code run launch by launch.
struct GraphVerify {
  bool startup = false;  // every capture before the first request, with NaN in padding and arena
  int64_t sample = 0;    // one step in this many while serving; 0: none

  bool operator==(const GraphVerify&) const = default;
};

struct GraphConfig {
  // The keys of --graph-optimization-config, by their names.
  int graph_opt_level = 0;                                           // 0 dynamic, 1 static, 2 compiled
  bool use_cudagraph = false;                                        // record launches and replay them
  std::optional<std::vector<int64_t>> cudagraph_capture_sizes = {};  // tokens of a decode step
  bool full_cuda_graph = true;                                       // false: split at attention
  std::optional<std::vector<int64_t>> cudagraph_capture_sizes_prefill = {};  // tokens of a prefill step
  int64_t max_capture_shape_prefill = 512;
  bool cudagraph_only_prefill = false;  // pure-prefill steps are recorded instead of decode steps
  int64_t cudagraph_num_of_warmups = 2;
  bool use_unique_memory_pool = true;
  bool draft_model_use_cudagraph = false;

  // The flags beside it.
  GraphVerify verify = {};
  bool capture_before_ready = false;
  bool choose_level = false;    // --graph-opt auto: the fastest level is kept
  bool choose_capture = false;  // the same for use_cudagraph, where nobody said it

  bool operator==(const GraphConfig&) const = default;
};

// The flags as they were given.
struct GraphFlags {
  std::string graph_optimization_config = {};  // JSON; empty: not given
  std::optional<bool> use_cudagraph = {};      // --use-cudagraph
  std::string graph_verify = "off";            // off | startup | sample=N
  std::string graph_opt = {};                  // auto; empty: not given
  bool capture_before_ready = false;
};

// Both throw Error: unknown or repeated keys, wrong types, values out of range, flags that contradict.
GraphConfig parse_graph_config(std::string_view json);
GraphConfig graph_config_of(const GraphFlags& flags);

// Throws Error that names the model where `config` asks for a level above 0 or for capture and the model's
// registration doesn't support it.
void require_graph_support(const GraphConfig& config, std::string_view architecture, bool supports);

// What device and compiler can do.
struct GraphCapabilities {
  bool has_compiler = false;       // level 2 can be served
  bool one_recording_fits = true;  // Device::replays_any_size()
};

// What --graph-opt auto measures; `config` itself where nothing is left to choose. Never empty.
std::vector<GraphConfig> graph_candidates(const GraphConfig& config, const GraphCapabilities& can);

struct GraphLimits {
  int64_t max_num_seqs = 8;
  int64_t max_num_batched_tokens = 8192;
  GraphCapabilities can = {};
};

// A configuration with nothing left open: which sizes are captured. A kind of step that isn't has an empty
// list.
struct ResolvedGraph {
  GraphConfig config = {};
  SizeList decode = {};                    // steps of one token for each sequence
  SizeList prefill = {};                   // steps with longer pieces of prompts
  std::vector<std::string> warnings = {};  // one line each

  // Prefill and mixed steps replay the parts of the graph between its attentions.
  bool split_at_attention() const { return config.use_cudagraph && !config.full_cuda_graph; }
};

// `config` has nothing left to choose. Throws Error where it can't be served.
ResolvedGraph resolve_graph(const GraphConfig& config, const GraphLimits& limits);

}  // namespace reprise::engine
