#include "engine/scheduling/request_table.h"

#include <algorithm>
#include <string>
#include <utility>

#include "core/error.h"

namespace reprise::engine {

RequestTable::RequestTable(int64_t kv_blocks, int64_t max_num_seqs, int64_t cache_block_size)
    : max_num_seqs_(static_cast<size_t>(max_num_seqs)),
      pool_(kv_blocks, cache_block_size),
      block_size_(cache_block_size) {
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

Sequence* RequestTable::find_sequence(uint64_t id) noexcept {
  RequestState* const request = find(id / SamplingParams::kMaxOutputs);
  return request == nullptr ? nullptr : request->outputs[id % SamplingParams::kMaxOutputs].get();
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

// Whoever holds a block holds all before it in its prompt, so those that are shared come first.
int64_t RequestTable::unshared(std::span<const BlockId> blocks) const {
  const auto first = std::partition_point(blocks.begin(), blocks.end(),
                                          [&](BlockId block) { return pool_.references(block) > 1; });
  return blocks.end() - first;
}

SeqState RequestTable::view(const Sequence& running, bool count_unshared) const {
  const auto blocks = static_cast<int64_t>(running.blocks.size());
  return {.id = running.id,
          .tokens = running.length(),
          .computed = running.computed,
          .blocks = blocks,
          .unshared = count_unshared && pool_.caches() ? unshared(running.blocks) : blocks};
}

// Calls `take` with each cached block from the beginning on; returns how many these are.
template <typename Take>
int64_t RequestTable::walk_prefix(const Sequence& waiting, const Take& take) const {
  if (!pool_.caches() || waiting.wants_prompt_scores()) return 0;
  const std::span<const int32_t> tokens = waiting.tokens;
  const auto size = static_cast<size_t>(block_size_);
  const std::string& salt = waiting.request->request.cache_salt;
  int64_t count = 0;
  BlockId parent = kNullBlock;
  for (size_t begin = 0; begin + size < tokens.size(); begin += size, ++count) {
    parent = pool_.find_cached(parent, tokens.subspan(begin, size), salt);
    if (parent == kNullBlock) break;
    take(parent);
  }
  return count;
}

SeqState RequestTable::view_with_prefix(const Sequence& waiting) const {
  SeqState out{.id = waiting.id, .tokens = waiting.length()};
  out.blocks =
      walk_prefix(waiting, [&](BlockId block) { out.unshared += pool_.references(block) == 0 ? 1 : 0; });
  out.computed = out.blocks * block_size_;
  return out;
}

void RequestTable::share_prefix(Sequence& waiting, int64_t blocks) {
  if (blocks == 0) return;
  waiting.blocks.reserve(static_cast<size_t>(blocks));
  int64_t found = walk_prefix(waiting, [&](BlockId block) {
    waiting.blocks.push_back(block);
    pool_.share(block);
  });
  REPRISE_CHECK(found == blocks, "{} cached blocks, the scheduler saw {}", found, blocks);
  waiting.cached_blocks = blocks;
  waiting.computed = blocks * block_size_;
}

void RequestTable::cache_filled(Sequence& sequence) {
  if (!pool_.caches() || !sequence.may_cache) return;
  const std::span<const int32_t> tokens = sequence.tokens;
  for (; (sequence.cached_blocks + 1) * block_size_ <= sequence.computed; ++sequence.cached_blocks) {
    const auto at = static_cast<size_t>(sequence.cached_blocks), size = static_cast<size_t>(block_size_);
    const BlockId parent = at == 0 ? kNullBlock : sequence.blocks[at - 1];
    sequence.blocks[at] = pool_.cache(sequence.blocks[at], parent, tokens.subspan(at * size, size),
                                      sequence.request->request.cache_salt);
  }
}

void RequestTable::forget_cached() noexcept {
  pool_.forget_cached();
  // What they add would hang on blocks that are not in the cache any more.
  for (Sequence* sequence : running_) sequence->may_cache = false;
  for (Sequence* sequence : held_) sequence->may_cache = false;
}

void RequestTable::allocate_for(Sequence& sequence, int64_t count) {
  pool_.allocate(count, sequence.blocks);
}

void RequestTable::release_blocks(Sequence& sequence) {
  pool_.release(sequence.blocks);
  sequence.blocks.clear();
  sequence.cached_blocks = 0;
  sequence.may_cache = true;
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
