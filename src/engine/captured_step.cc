#include "engine/captured_step.h"

#include <utility>

#include "core/capture_rules.h"
#include "core/recording_scope.h"
#include "core/thread_team.h"

namespace reprise::engine {
namespace {

// Why a node that says of itself that it can't be recorded runs eagerly.
std::string declared(const graph::Node& node) {
  if (node.schema->kind != ops::OpKind::collective) return "the op is declared as not capturable";
  return CaptureError(CaptureRule::collective, node.schema->name, node.layer,
                      "the communicator is declared as not capturable")
      .what();
}

}  // namespace

CapturedStep::CapturedStep(graph::Executor& executor, Stream& stream, StepSizes largest, bool split_attention)
    : executor_(executor), stream_(stream), largest_(largest) {
  const graph::Graph& graph = executor.graph();
  stream.set_sizes(largest);
  capture::Recorder recorder;
  launches_until_.assign(graph.nodes.size(), 0);
  graph::NodeId begin = 0;  // of the recording under way
  for (graph::NodeId id = 0; id < static_cast<graph::NodeId>(graph.nodes.size()); ++id) {
    const graph::Node& node = graph.node(id);
    std::string why;
    const bool asked_for = split_attention && node.schema->kind == ops::OpKind::attention;
    if (asked_for) {
      why = "attention runs between the replayed parts (full_cuda_graph is false)";
    } else if (!node.schema->capturable) {
      why = declared(node);
    } else {
      const size_t before = recorder.recording.launches().size();
      try {
        const RecordingScope scope(stream, recorder);
        executor.run(id, id + 1);
        launches_until_[static_cast<size_t>(id)] = recorder.recording.launches().size();
        continue;
      } catch (const CaptureError& error) {
        // What it launched before it broke the rule runs with the rest of it, eagerly.
        recorder.recording.truncate(before);
        why = error.what();
      }
    }
    close(std::exchange(recorder.recording, {}), begin, id);
    begin = id + 1;
    splits_.push_back({id, std::string(node.schema->name), node.layer, std::move(why), asked_for});
    if (!parts_.empty() && parts_.back().replay == nullptr && parts_.back().end == id)
      parts_.back().end = id + 1;
    else
      parts_.push_back({.replay = nullptr, .begin = id, .end = id + 1});
  }
  close(std::exchange(recorder.recording, {}), begin, static_cast<graph::NodeId>(graph.nodes.size()));
}

void CapturedStep::close(capture::Recording recording, graph::NodeId begin, graph::NodeId end) {
  if (recording.empty()) return;
  replays_.push_back(std::make_unique<capture::Replay>(std::move(recording), largest_, stream_));
  const size_t nodes = replays_.back()->recording().launches().size();
  parts_.push_back({.replay = replays_.back().get(),
                    .begin = begin,
                    .end = end,
                    .workers = capture::WorkerChoice(stream_.team().size(), nodes)});
}

void CapturedStep::run(StepSizes captured, StepSizes real, Profiler* profiler) {
  for (Part& part : parts_) {
    if (part.replay == nullptr) {
      stream_.set_sizes(real);
      executor_.run(part.begin, part.end);
    } else if (profiler != nullptr) {
      part.replay->run_profiled(captured, *profiler);
    } else {
      capture::replay_fastest(*part.replay, part.workers, captured);
    }
  }
}

size_t CapturedStep::launches() const {
  size_t sum = 0;
  for (const auto& replay : replays_) sum += replay->recording().launches().size();
  return sum;
}

size_t CapturedStep::bytes() const {
  size_t sum = parts_.size() * sizeof(Part);
  for (const auto& replay : replays_) sum += replay->bytes();
  return sum;
}

}  // namespace reprise::engine
