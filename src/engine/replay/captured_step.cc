#include "engine/replay/captured_step.h"

#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "capture/compare.h"
#include "core/capture_error.h"
#include "core/capture_rules.h"
#include "core/recording_scope.h"

namespace reprise::engine {
namespace {

// Why a node that says of itself that it can't be recorded runs eagerly.
std::string declared(const graph::Node& node) {
  if (node.schema->kind != ops::OpKind::collective) return "the op is declared as not capturable";
  return CaptureError(CaptureRule::collective, node.schema->name, node.layer,
                      "the communicator is declared as not capturable")
      .what();
}

// A run of nodes that is replayed (a recording) or runs eagerly (none).
struct RecordedPart {
  std::optional<capture::Recording> recording;
  graph::NodeId begin, end;
};
struct RecordedStep {
  std::vector<RecordedPart> parts;
  std::vector<Split> splits;
  std::vector<size_t> launches_until;  // by node: launches of its recording up to its own, these included
};

RecordedStep record(graph::Executor& executor, Stream& stream, StepSizes largest, bool split_attention) {
  const graph::Graph& graph = executor.graph();
  stream.set_sizes(largest);
  RecordedStep step{.parts = {}, .splits = {}, .launches_until = std::vector<size_t>(graph.nodes.size())};
  capture::Recorder recorder;
  graph::NodeId begin = 0;  // of the recording under way
  const auto close = [&](graph::NodeId end) {
    if (!recorder.recording.empty())
      step.parts.push_back({std::exchange(recorder.recording, {}), begin, end});
    begin = end + 1;
  };
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
        step.launches_until[static_cast<size_t>(id)] = recorder.recording.launches().size();
        continue;
      } catch (const CaptureError& error) {
        // What it launched before it broke the rule runs with the rest of it, eagerly.
        recorder.recording.truncate(before);
        why = error.what();
      }
    }
    close(id);
    step.splits.push_back({id, std::string(node.schema->name), node.layer, std::move(why), asked_for});
    if (!step.parts.empty() && !step.parts.back().recording.has_value() && step.parts.back().end == id)
      step.parts.back().end = id + 1;
    else
      step.parts.push_back({std::nullopt, id, id + 1});
  }
  close(static_cast<graph::NodeId>(graph.nodes.size()));
  return step;
}

}  // namespace

CapturedStep::CapturedStep(graph::Executor& executor, Stream& stream, StepSizes largest, bool split_attention)
    : executor_(executor), stream_(stream), largest_(largest), split_attention_(split_attention) {
  RecordedStep step = record(executor, stream, largest, split_attention);
  splits_ = std::move(step.splits);
  launches_until_ = std::move(step.launches_until);
  for (RecordedPart& part : step.parts) {
    if (part.recording.has_value())
      add_part(std::move(*part.recording), part.begin, part.end);
    else
      parts_.push_back({.replay = nullptr, .begin = part.begin, .end = part.end});
  }
}

std::string CapturedStep::difference_now() const {
  const RecordedStep now = record(executor_, stream_, largest_, split_attention_);
  size_t next = 0;  // of replays_
  for (const RecordedPart& part : now.parts) {
    if (!part.recording.has_value()) continue;
    if (next == replays_.size()) break;
    if (const auto found = capture::first_difference(replays_[next]->recording(), *part.recording))
      return CaptureError(CaptureRule::dynamic_launch, found->op, found->layer,
                          fmt::format("kernel {} differs in two captures with other inputs: {}",
                                      found->kernel, found->what))
          .what();
    ++next;
  }
  if (next == replays_.size() && now.splits.size() == splits_.size()) return "";
  // The first node that could be recorded once and not another time.
  size_t same = 0;
  while (same < std::min(splits_.size(), now.splits.size()) && splits_[same].node == now.splits[same].node)
    ++same;
  const bool now_split =
      same < now.splits.size() && (same == splits_.size() || now.splits[same].node < splits_[same].node);
  const Split* const odd = now_split ? &now.splits[same] : same < splits_.size() ? &splits_[same] : nullptr;
  return CaptureError(CaptureRule::dynamic_launch, odd == nullptr ? "" : odd->op,
                      odd == nullptr ? "" : odd->layer,
                      fmt::format("{} nodes run eagerly for some inputs and {} for others", splits_.size(),
                                  now.splits.size()))
      .what();
}

void CapturedStep::add_part(capture::Recording recording, graph::NodeId begin, graph::NodeId end) {
  replays_.push_back(stream_.on_device().instantiate(std::move(recording), largest_));
  parts_.push_back({.replay = replays_.back().get(), .begin = begin, .end = end});
}

void CapturedStep::run(StepSizes captured, StepSizes real, Profiler* profiler) {
  for (Part& part : parts_) {
    if (part.replay == nullptr) {
      stream_.set_sizes(real);
      executor_.run(part.begin, part.end);
    } else {
      part.replay->run(captured, profiler);
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
