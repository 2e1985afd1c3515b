#include "engine/scheduling/scheduler.h"

#include <algorithm>

namespace reprise::engine {
namespace {

// Share of the blocks that admission leaves free for sequences that grow, so that the newest isn't admitted
// only to be preempted by the next step.
constexpr int64_t kHeadroomDivisor = 100;

class Pass {
 public:
  Pass(const SchedulerState& state, const Budget& budget, Decision& decision)
      : state_(state),
        budget_(budget),
        decision_(decision),
        alive_(state.running.size()),
        free_blocks_(state.free_blocks),
        tokens_left_(budget.max_num_batched_tokens) {}

  void run() {
    decodes();
    prompts_under_way();
    if (!preempted_running_) admit();
    ensure_progress();
  }

 private:
  int64_t blocks_for(int64_t tokens) const { return (tokens + state_.block_size - 1) / state_.block_size; }
  bool never_fits(const SeqState& seq) const { return blocks_for(seq.tokens) > state_.total_blocks; }
  bool is_long(int64_t remaining) const { return remaining > budget_.long_prefill_token_threshold; }

  void take(const SeqState& seq, int64_t tokens, int64_t new_blocks, bool admitted) {
    decision_.batch.push_back({seq.id, tokens, new_blocks, admitted, admitted ? seq.blocks : 0});
    tokens_left_ -= tokens;
    free_blocks_ -= new_blocks;
  }

  void take_from_held(int64_t needed) {
    for (; free_blocks_ < needed && held_taken_ < state_.held.size(); ++held_taken_) {
      decision_.preempted.push_back(state_.held[held_taken_].id);
      free_blocks_ += state_.held[held_taken_].unshared;
    }
  }

  int64_t blocks_of_held() const {
    int64_t blocks = 0;
    for (const SeqState& held : state_.held.subspan(held_taken_)) blocks += held.unshared;
    return blocks;
  }

  // Victims are always the last of those alive, hence never one that this pass has already taken. False when
  // `index` itself was the last.
  bool make_room(size_t index, int64_t needed) {
    take_from_held(needed);
    while (free_blocks_ < needed) {
      const SeqState& victim = state_.running[--alive_];
      if (!never_fits(victim) || !victim.decodes()) {
        decision_.preempted.push_back(victim.id);
        preempted_running_ = true;
      } else {
        decision_.failed.push_back({victim.id, Unfit::blocks});
      }
      free_blocks_ += victim.unshared;
      if (alive_ == index) return false;
    }
    return true;
  }

  void decodes() {
    for (size_t i = 0; i < alive_ && tokens_left_ > 0; ++i) {
      const SeqState& seq = state_.running[i];
      if (!seq.decodes()) continue;
      const int64_t needed = blocks_for(seq.tokens) - seq.blocks;
      if (make_room(i, needed)) take(seq, 1, needed, false);
    }
    if (!decision_.batch.empty() && budget_.enable_chunked_prefill)
      tokens_left_ = std::min(tokens_left_, budget_.max_prefill_tokens);
  }

  // How many of `remaining` prompt tokens fit into this step; 0: none. `contended`: other prompts want a
  // part.
  int64_t chunk(int64_t remaining, bool contended) const {
    if (!budget_.enable_chunked_prefill) return remaining <= tokens_left_ ? remaining : 0;
    int64_t most = tokens_left_;
    if (contended && budget_.max_num_partial_prefills > 1 && is_long(remaining))
      most = std::min(
          most, std::max<int64_t>(1, budget_.max_num_batched_tokens / budget_.max_num_partial_prefills));
    return std::min(remaining, most);
  }

  void note_partial(int64_t remaining) {
    ++partial_;
    if (is_long(remaining)) ++long_partial_;
  }

  void prompts_under_way() {
    size_t prompts = 0;
    for (size_t i = 0; i < alive_; ++i)
      if (!state_.running[i].decodes()) ++prompts;
    const bool contended = prompts > 1 || !state_.waiting.empty();
    for (size_t i = 0; i < alive_; ++i) {
      const SeqState& seq = state_.running[i];
      if (seq.decodes()) continue;
      const int64_t remaining = seq.tokens - seq.computed;
      const int64_t tokens = tokens_left_ > 0 ? chunk(remaining, contended) : 0;
      if (tokens > 0) take(seq, tokens, blocks_for(seq.tokens) - seq.blocks, false);
      if (tokens < remaining) note_partial(remaining);
    }
  }

  void admit() {
    const int64_t headroom = state_.total_blocks / kHeadroomDivisor;
    int64_t running = static_cast<int64_t>(alive_);
    int64_t uncounted = 0;  // cached blocks of admitted sequences that somebody else holds
    for (const SeqState& seq : state_.waiting) {
      if (running >= budget_.max_num_seqs || tokens_left_ <= 0) return;
      if (never_fits(seq)) {
        decision_.failed.push_back({seq.id, Unfit::blocks});
        continue;
      }
      const int64_t needed = blocks_for(seq.tokens) - seq.blocks;
      const int64_t spare = running > 0 ? headroom : 0;
      // Of the free ones. A cached block that a held sequence gives up in this pass is free until it is shared, so
      // that all are counted once one gives up its blocks, those of sequences that were admitted before too.
      int64_t taken = needed + (held_taken_ > 0 ? seq.blocks : seq.unshared);
      if (taken + spare > free_blocks_) {
        taken = needed + seq.blocks;
        const int64_t free = free_blocks_ - uncounted;
        if (running == 0 || taken + spare <= free + blocks_of_held()) {
          free_blocks_ = free;
          uncounted = 0;
          take_from_held(taken + spare);
        }
        if (taken + spare > free_blocks_) return;
      }
      const int64_t remaining = seq.tokens - seq.computed;
      const int64_t tokens = chunk(remaining, partial_ > 0 || state_.waiting.size() > 1);
      if (tokens == 0) return;
      if (tokens < remaining) {
        if (partial_ >= budget_.max_num_partial_prefills) return;
        if (is_long(remaining) && long_partial_ >= budget_.max_long_partial_prefills) continue;
        note_partial(remaining);
      }
      take(seq, tokens, needed, true);
      free_blocks_ -= taken - needed;
      uncounted += needed + seq.blocks - taken;
      ++running;
    }
  }

  void ensure_progress() {
    if (!decision_.batch.empty() || !decision_.preempted.empty() || !decision_.failed.empty()) return;
    if (!state_.running.empty())
      decision_.failed.push_back({state_.running.front().id, Unfit::tokens});
    else if (!state_.waiting.empty())
      decision_.failed.push_back({state_.waiting.front().id, Unfit::tokens});
  }

  const SchedulerState& state_;
  const Budget& budget_;
  Decision& decision_;
  size_t alive_;           // running[0, alive_) are not preempted
  size_t held_taken_ = 0;  // held[0, held_taken_) are preempted
  bool preempted_running_ = false;
  int64_t free_blocks_;
  int64_t tokens_left_;
  int64_t partial_ = 0;  // prompts that this step doesn't finish
  int64_t long_partial_ = 0;
};

}  // namespace

void schedule(const SchedulerState& state, const Budget& budget, Decision& decision) {
  decision.clear();
  Pass(state, budget, decision).run();
}

}  // namespace reprise::engine
