// A step captured once, to be replayed: recordings of the graph's nodes, cut where a node can't or shall not
// be recorded. Such a node runs eagerly between two replayed parts, and the reason is kept.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "capture/executable.h"
#include "graph/executor.h"

namespace reprise {
class Profiler;
}

namespace reprise::engine {

// A node that runs eagerly inside a captured step.
struct Split {
  graph::NodeId node = graph::kNone;
  std::string op, layer;
  std::string why;
  bool asked_for = false;  // by split mode
};

// Thread of the engine only.
class CapturedStep {
 public:
  // Records the executor's nodes for sizes up to `largest`; runs none. `split_attention`: attention stays
  // eager (split mode). `executor` and `stream` outlive this. Throws Error where a recording can't be
  // replayed.
  CapturedStep(graph::Executor& executor, Stream& stream, StepSizes largest, bool split_attention);

  // The two-capture diff: records the step once more from what the inputs hold now, and compares with what
  // was captured. The first difference as a CaptureError's text that names op and layer, or "": a launch that
  // differs depends on the contents of the inputs, and a replay would repeat the captured one for every step.
  std::string difference_now() const;

  // Replays for the captured sizes; eager nodes run for the real ones.
  void run(StepSizes captured, StepSizes real, Profiler* profiler);

  const std::vector<Split>& splits() const { return splits_; }
  size_t launches() const;
  size_t bytes() const;  // of heap: recordings and what replays them
  // For checks: all parts in order, launch by launch on the caller. `after_launch` is told of each launch
  // that is replayed, `after_node` of each node of the graph.
  template <typename AfterLaunch, typename AfterNode>
  void run_slowly(StepSizes captured, StepSizes real, AfterLaunch&& after_launch, AfterNode&& after_node);
  const std::vector<std::unique_ptr<capture::Executable>>& replays() const { return replays_; }

 private:
  struct Part {
    capture::Executable* replay = nullptr;  // null: nodes [begin, end) run eagerly
    graph::NodeId begin = 0, end = 0;
  };
  void add_part(capture::Recording recording, graph::NodeId begin, graph::NodeId end);

  graph::Executor& executor_;
  Stream& stream_;
  StepSizes largest_;
  bool split_attention_;
  std::vector<std::unique_ptr<capture::Executable>> replays_;
  std::vector<Part> parts_;
  std::vector<Split> splits_;
  std::vector<size_t> launches_until_;  // by node: launches of its recording up to its own, these included
};

template <typename AfterLaunch, typename AfterNode>
void CapturedStep::run_slowly(StepSizes captured, StepSizes real, AfterLaunch&& after_launch,
                              AfterNode&& after_node) {
  for (const Part& part : parts_) {
    size_t launch = 0;
    for (graph::NodeId node = part.begin; node < part.end; ++node) {
      if (part.replay == nullptr) {
        stream_.set_sizes(real);
        executor_.run(node, node + 1);
      } else {
        const capture::Recording& recording = part.replay->recording();
        for (; launch < launches_until_[static_cast<size_t>(node)]; ++launch) {
          part.replay->run_node(launch, captured);
          after_launch(recording, recording.launches()[launch]);
        }
      }
      after_node(node);
    }
  }
}

}  // namespace reprise::engine
