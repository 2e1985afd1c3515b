// The ways in which the engine can run its steps, for tests of promises that hold for all of them.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "tests/engine/small_model.h"

namespace reprise::engine {

struct Way {
  std::string name;
  GraphConfig graph;
  bool decode_is_replayed = false;
};

inline void PrintTo(const Way& way, std::ostream* out) {
  *out << way.name;
}

inline std::vector<Way> ways_to_run() {
  const std::vector<int64_t> few = {1, 2, 4, 8}, many = {1, 2, 4, 8, 16, 64};
  std::vector<Way> ways;
  for (const int level : {0, 1, 2}) {
    const std::string prefix = "level_" + std::to_string(level);
    ways.push_back({prefix, {.graph_opt_level = level}, false});
    ways.push_back({prefix + "_replay", {.graph_opt_level = level, .use_cudagraph = true}, true});
    ways.push_back({prefix + "_list",
                    {.graph_opt_level = level, .use_cudagraph = true, .cudagraph_capture_sizes = few},
                    true});
    // Decode steps whole, prefill and mixed steps in parts, with attention between them; refused at level 0.
    if (level == 0) continue;
    ways.push_back({prefix + "_split",
                    {.graph_opt_level = level,
                     .use_cudagraph = true,
                     .cudagraph_capture_sizes = few,
                     .full_cuda_graph = false,
                     .cudagraph_capture_sizes_prefill = many},
                    true});
  }
  for (Way& way : ways) way.graph.cudagraph_num_of_warmups = 1;
  return ways;
}

}  // namespace reprise::engine
