#include "engine/scheduling/request_table.h"

#include <algorithm>
#include <utility>

namespace reprise::engine {

RequestTable::RequestTable(int64_t kv_blocks, int64_t max_num_seqs)
    : max_num_seqs_(static_cast<size_t>(max_num_seqs)), pool_(kv_blocks) {
  running_.reserve(max_num_seqs_);
}

void RequestTable::add(std::unique_ptr<RequestState> request) {
  SequenceQueue queued;
  for (const std::unique_ptr<Sequence>& output : request->outputs) queued.insert(output.get());
  const RequestId id = request->id;
  requests_.emplace(id, std::move(request));
  waiting_.merge(queued);
}

RequestState* RequestTable::find(RequestId id) noexcept {
  const auto found = requests_.find(id);
  return found == requests_.end() ? nullptr : found->second.get();
}

Sequence& RequestTable::sequence(uint64_t id) {
  return *requests_.at(id / SamplingParams::kMaxOutputs)->outputs.at(id % SamplingParams::kMaxOutputs);
}

void RequestTable::admit(Sequence& sequence) noexcept {
  leave_queue(sequence);
  run(sequence);
}

// Never more than max_num_seqs, which are reserved.
void RequestTable::run(Sequence& sequence) noexcept {
  running_.insert(std::ranges::upper_bound(running_, &sequence, MoreUrgent()), &sequence);
}

void RequestTable::leave_queue(Sequence& sequence) noexcept {
  if (!sequence.node.empty())
    std::erase(running_, &sequence);
  else
    sequence.node = (sequence.held ? held_ : waiting_).extract(&sequence);
}

void RequestTable::preempt(Sequence& sequence) {
  give_up_blocks(sequence);
  leave_queue(sequence);
  if (!sequence.held) waiting_.insert(std::move(sequence.node));
}

void RequestTable::hold(Sequence& sequence) noexcept {
  if (sequence.held) return;
  leave_queue(sequence);
  sequence.held = true;
  ++held_count_;
  if (!sequence.blocks.empty()) held_.insert(std::move(sequence.node));
}

bool RequestTable::let_go(Sequence& sequence) {
  if (!sequence.held) return false;
  leave_queue(sequence);
  sequence.held = false;
  --held_count_;
  const bool has_blocks = !sequence.blocks.empty();
  if (has_blocks && running_.size() < max_num_seqs_) {
    run(sequence);
    return false;
  }
  if (has_blocks) give_up_blocks(sequence);
  waiting_.insert(std::move(sequence.node));
  return has_blocks;
}

void RequestTable::allocate_for(Sequence& sequence, int64_t count) {
  pool_.allocate(count, sequence.blocks);
}

void RequestTable::release_blocks(Sequence& sequence) {
  pool_.release(sequence.blocks);
  sequence.blocks.clear();
}

void RequestTable::give_up_blocks(Sequence& sequence) {
  release_blocks(sequence);
  sequence.computed = 0;
  ++sequence.preemptions;
}

void RequestTable::remove(Sequence& sequence) {
  release_blocks(sequence);
  leave_queue(sequence);
  if (sequence.held) --held_count_;
  RequestState& request = *sequence.request;
  request.outputs[static_cast<size_t>(sequence.output)].reset();
  if (--request.unfinished == 0 && !request.abandoned) requests_.erase(request.id);
}

void RequestTable::abandon(RequestState& request) noexcept {
  if (std::exchange(request.abandoned, true)) return;
  request.next_abandoned = std::exchange(abandoned_, &request);
}

void RequestTable::sweep() {
  while (abandoned_ != nullptr) {
    RequestState& request = *abandoned_;
    for (const std::unique_ptr<Sequence>& output : request.outputs)
      if (output != nullptr) remove(*output);
    abandoned_ = request.next_abandoned;
    requests_.erase(request.id);
  }
}

void RequestTable::clear() noexcept {
  abandoned_ = nullptr;
  waiting_.clear();
  held_.clear();
  held_count_ = 0;
  running_.clear();
  requests_.clear();
  pool_.reset();
}

}  // namespace reprise::engine
