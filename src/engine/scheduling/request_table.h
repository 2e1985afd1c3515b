// The requests that are not finished, the two queues of their outputs (running, waiting) and the KV blocks
// that these hold: the part of the engine's state that must stay consistent whatever throws.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "engine/kv/kv_blocks.h"
#include "engine/scheduling/sequence.h"

namespace reprise::engine {

// Thread of the engine only. Only add() and allocate_for() allocate memory; where they throw, nothing has
// changed.
class RequestTable {
 public:
  // `cache_block_size`: tokens in a block, for the prefix cache; 0: without one.
  RequestTable(int64_t kv_blocks, int64_t max_num_seqs, int64_t cache_block_size);
  RequestTable(const RequestTable&) = delete;
  RequestTable& operator=(const RequestTable&) = delete;

  // Takes the request over; its outputs wait.
  void add(std::unique_ptr<RequestState> request);
  RequestState* find(RequestId id) noexcept;      // null: unknown or finished
  Sequence& sequence(uint64_t id);                // throws std::out_of_range for an unknown one
  Sequence* find_sequence(uint64_t id) noexcept;  // null: unknown or finished

  const std::vector<Sequence*>& running() const { return running_; }  // by urgency
  const SequenceQueue& waiting() const { return waiting_; }
  const SequenceQueue& held() const { return held_; }  // those that have blocks
  int64_t held_count() const { return held_count_; }   // and the others
  const BlockPool& pool() const { return pool_; }
  const std::unordered_map<RequestId, std::unique_ptr<RequestState>>& requests() const { return requests_; }

  // As the scheduler sees it: a running one, whose unshared blocks are counted where `count_unshared`; and a waiting
  // one with what it finds in the prefix cache. Its last known token is never among that, since its logits are
  // wanted, and a prompt that is to be scored finds nothing.
  SeqState view(const Sequence& running, bool count_unshared) const;
  SeqState view_with_prefix(const Sequence& waiting) const;
  // Takes the `blocks` that view_with_prefix() found: before any other block is allocated.
  void share_prefix(Sequence& waiting, int64_t blocks);
  // The blocks that the sequence has filled by now can be found by others. Throws std::bad_alloc, for a salt.
  void cache_filled(Sequence& sequence);
  // Nothing computed so far is found any more, for contents that are gone.
  void forget_cached() noexcept;

  // From waiting to running, and back without its blocks. A held one stays held.
  void admit(Sequence& sequence) noexcept;
  void preempt(Sequence& sequence);
  // Neither runs nor waits until let_go(); one that ran keeps its blocks. Nothing where it is held already.
  void hold(Sequence& sequence) noexcept;
  // Runs on where it has blocks and there is a place for it; waits otherwise, and is preempted where it had blocks,
  // which is returned.
  bool let_go(Sequence& sequence);
  // `count` more blocks, of which there are so many free.
  void allocate_for(Sequence& sequence, int64_t count);

  // Frees the sequence, its blocks and, with its last output, the request (an abandoned one stays until
  // sweep()).
  void remove(Sequence& sequence);
  // Marks a request whose events nobody takes any more; sweep() removes what was marked, when no pointer to
  // its sequences is in use.
  void abandon(RequestState& request) noexcept;
  void sweep();
  // Forgets everything; all blocks are free.
  void clear() noexcept;

 private:
  void release_blocks(Sequence& sequence);
  int64_t unshared(std::span<const BlockId> blocks) const;
  template <typename Take>
  int64_t walk_prefix(const Sequence& waiting, const Take& take) const;
  void give_up_blocks(Sequence& sequence);  // to be computed again
  void run(Sequence& sequence) noexcept;
  void leave_queue(Sequence& sequence) noexcept;  // whichever it is in, or those that run

  const size_t max_num_seqs_;
  BlockPool pool_;
  int64_t block_size_;  // 0: there is no prefix cache
  std::unordered_map<RequestId, std::unique_ptr<RequestState>> requests_;
  std::vector<Sequence*> running_;
  SequenceQueue waiting_;
  SequenceQueue held_;
  int64_t held_count_ = 0;
  RequestState* abandoned_ = nullptr;  // a list through RequestState::next_abandoned
};

}  // namespace reprise::engine
