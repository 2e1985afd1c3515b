#include "engine/scheduling/request_table.h"

#include <algorithm>
#include <utility>

namespace reprise::engine {
namespace {

bool by_id(const Sequence* a, const Sequence* b) {
  return a->id < b->id;
}

}  // namespace

void WaitingList::insert(Sequence& sequence) noexcept {
  Sequence* next = nullptr;
  if (last_ != nullptr && last_->id > sequence.id)
    for (next = first_; next->id < sequence.id;) next = next->next_waiting;
  Sequence* previous = next != nullptr ? next->previous_waiting : last_;
  sequence.previous_waiting = previous;
  sequence.next_waiting = next;
  (previous != nullptr ? previous->next_waiting : first_) = &sequence;
  (next != nullptr ? next->previous_waiting : last_) = &sequence;
  sequence.waits = true;
  ++size_;
}

void WaitingList::erase(Sequence& sequence) noexcept {
  if (!sequence.waits) return;
  Sequence* const previous = std::exchange(sequence.previous_waiting, nullptr);
  Sequence* const next = std::exchange(sequence.next_waiting, nullptr);
  (previous != nullptr ? previous->next_waiting : first_) = next;
  (next != nullptr ? next->previous_waiting : last_) = previous;
  sequence.waits = false;
  --size_;
}

RequestTable::RequestTable(int64_t kv_blocks, int64_t max_num_seqs) : pool_(kv_blocks) {
  running_.reserve(static_cast<size_t>(max_num_seqs));
}

void RequestTable::add(std::unique_ptr<RequestState> request) {
  RequestState& added = *request;
  requests_.emplace(added.id, std::move(request));
  for (const std::unique_ptr<Sequence>& output : added.outputs) waiting_.insert(*output);
}

RequestState* RequestTable::find(RequestId id) noexcept {
  const auto found = requests_.find(id);
  return found == requests_.end() ? nullptr : found->second.get();
}

Sequence& RequestTable::sequence(uint64_t id) {
  return *requests_.at(id / SamplingParams::kMaxOutputs)->outputs.at(id % SamplingParams::kMaxOutputs);
}

void RequestTable::admit(Sequence& sequence) noexcept {
  waiting_.erase(sequence);
  // Never more than max_num_seqs, which are reserved.
  running_.insert(std::upper_bound(running_.begin(), running_.end(), &sequence, by_id), &sequence);
}

void RequestTable::preempt(Sequence& sequence) {
  release_blocks(sequence);
  sequence.computed = 0;
  ++sequence.preemptions;
  std::erase(running_, &sequence);
  waiting_.insert(sequence);
}

void RequestTable::allocate_for(Sequence& sequence, int64_t count) {
  pool_.allocate(count, sequence.blocks);
}

void RequestTable::release_blocks(Sequence& sequence) {
  pool_.release(sequence.blocks);
  sequence.blocks.clear();
}

void RequestTable::remove(Sequence& sequence) {
  release_blocks(sequence);
  std::erase(running_, &sequence);
  waiting_.erase(sequence);
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
  waiting_ = WaitingList();
  running_.clear();
  requests_.clear();
  pool_.reset();
}

}  // namespace reprise::engine
