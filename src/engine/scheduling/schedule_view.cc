#include "engine/scheduling/schedule_view.h"

namespace reprise::engine {
namespace {

// How much of the waiting queue the scheduler sees: enough to fill a step and to look past long prompts.
constexpr size_t kWindowFactor = 2;
// Blocks that a step looks up in the prefix cache (some 0.1 us each).
constexpr int64_t kMostLookups = 512;
// Outputs that wait for the first one of their request and are passed over.
constexpr size_t kMostPassed = 256;

}  // namespace

ScheduleView::ScheduleView(int64_t max_num_seqs, int64_t block_size)
    : max_num_seqs_(static_cast<size_t>(max_num_seqs)), block_size_(block_size) {
  running_.reserve(max_num_seqs_);
  waiting_.reserve(kWindowFactor * max_num_seqs_);
  held_.reserve(max_num_seqs_);
}

SchedulerState ScheduleView::look(const RequestTable& table) {
  running_.clear();
  // A step takes at most one block for each sequence that decodes: with more nobody is preempted.
  const bool scarce = table.pool().free() < static_cast<int64_t>(table.running().size());
  for (const Sequence* sequence : table.running()) running_.push_back(table.view(*sequence, scarce));
  look_at_waiting(table);
  held_.clear();
  for (auto held = table.held().rbegin(); held != table.held().rend() && held_.size() < max_num_seqs_; ++held)
    held_.push_back(table.view(**held, true));
  return {.running = running_,
          .waiting = waiting_,
          .held = held_,
          .free_blocks = table.pool().free(),
          .total_blocks = table.pool().total(),
          .block_size = block_size_};
}

void ScheduleView::look_at_waiting(const RequestTable& table) {
  waiting_.clear();
  // Where nobody can be admitted it does not matter what is cached.
  const bool full = running_.size() >= max_num_seqs_;
  const bool caches = table.pool().caches();
  int64_t lookups = 0;
  size_t passed = 0;
  for (const Sequence* waiting : table.waiting()) {
    if (waiting_.size() == kWindowFactor * max_num_seqs_ || lookups >= kMostLookups) return;
    if (caches && waits_for_first_output(*waiting)) {
      if (++passed == kMostPassed) return;
      continue;
    }
    waiting_.push_back(full ? SeqState{.id = waiting->id, .tokens = waiting->length()}
                            : table.view_with_prefix(*waiting));
    lookups += waiting_.back().blocks;
  }
}

// The outputs of a request share the full blocks of its prompt, so the first output computes these alone. Not where that
// one is held: nobody may wait for who does not run.
bool ScheduleView::waits_for_first_output(const Sequence& waiting) const {
  if (waiting.output == 0) return false;
  const Sequence* const first = waiting.request->outputs[0].get();
  return first != nullptr && !first->held &&
         first->computed < (first->prompt_length - 1) / block_size_ * block_size_;
}

}  // namespace reprise::engine
