// Seeded faults for mutation tests: a test switches one on, and a check of ours must notice. Off in every
// other process; where a fault acts it costs one relaxed load. Each names the class that it belongs to.
#pragma once

#include <atomic>
#include <cstdint>

namespace reprise {

enum class Fault : uint8_t {
  none,
  // pass drops a dependency or reorders a write
  pass_drops_dependency,      // fuse_rotary_kv: attention reads the cache as it was before the write
  pass_confuses_versions,     // cse: reads of two versions of a state are equal
  pass_forgets_effects,       // dce: a write that nothing reads is dropped
  pass_moves_across_writes,   // fusions: a reader of a state moves behind its writer
  pass_overwrites_too_early,  // in_place: an output takes storage that is still read
  // fusion takes the wrong operand
  pass_swaps_operands,  // fuse_gate: gate and up
  pass_swaps_outputs,   // fuse_matmuls: the last two
  // planner overlaps live buffers
  plan_ends_at_first_use,    // a value dies with its first reader
  plan_sizes_for_one_token,  // a value is as large as it is at T = S = 1
  // replay misses a wait
  replay_skips_waits_of_node,  // node `site` starts at once
  dependencies_ignore_write_after_read,
  dependencies_ignore_write_after_write,
  // stale address
  replay_shifts_address,            // buffer `detail` of node `site` lies 64 bytes further
  replay_keeps_address_of_earlier,  // buffer `detail` of node `site` lies where the first one of node 0 does
                                    // (site > 0)
  // wrong captured size
  replay_drops_last_token,
  replay_loses_last_item,         // of node `site`
  path_takes_smaller_size,        // the largest captured size that does not hold the step
  capture_serves_one_token_less,  // than its size says
  // padding row leaks
  padding_writes_real_slot,  // padding rows put their keys and values where the first token has its own
  op_mixes_in_last_row,      // node `site` adds the step's last row, whoever it belongs to, to its first
  // capture list cropped wrongly
  crop_keeps_one_too_large,
  crop_drops_the_limit,
  default_list_lacks_the_full_batch,
  // an op computes something else
  op_flips_bits,  // node `site` of a static graph: the first bytes of its first output
  // generated code computes something else (codegen/llvm/emit.cc); each in two forms, by `site`
  emit_drops_rounding,      // 0: of a value to bf16; 1: of a store, which cuts instead
  emit_contracts_product,   // a * b becomes part of an fma: 0: with a sum; 1: with a difference
  emit_exchanges_operands,  // 0: of a difference; 1: of a quotient
  emit_misses_tail,         // the last columns of a row, fewer than 16, are 0: one too few; 1: one too many
  emit_reorders_sum,        // 0: the tree adds neighbours first; 1: lanes of a turn are added last to first
  emit_keeps_stale_offset,  // 0: columns of all chunks of a turn, in [columns]; 1: of all blocks of a row
  // the same in attention (codegen/llvm/emit_attention.cc)
  emit_attention_misses_key,     // 0: the last one of a tile; 1: keys behind the token's own are seen
  emit_attention_forgets_scale,  // sums of earlier tiles keep their scale: 0: of the weights; 1: of the values
  // in the rotation of q and k, and their write to the cache (codegen/llvm/emit_rotary.cc)
  emit_rotary_exchanges_pair,  // 0: the second of a pair comes with its own sign; 1: cosine and sine
  emit_rotary_misses_slot,  // 0: the last word of a key is not written; 1: values go to the neighbour's slot
  // and in products (codegen/llvm/product_code.cc)
  emit_product_misses_last,  // 0: link of a chain; 1: column of a row
};

namespace fault_state {
inline std::atomic<Fault> active{Fault::none};
inline std::atomic<int64_t> site{0}, detail{0};
}  // namespace fault_state

inline bool fault_is_on(Fault fault) {
  return fault_state::active.load(std::memory_order_relaxed) == fault;
}
// The same, at one place of many.
inline bool fault_is_on(Fault fault, int64_t site) {
  return fault_is_on(fault) && fault_state::site.load(std::memory_order_relaxed) == site;
}
inline bool fault_is_on(Fault fault, int64_t site, int64_t detail) {
  return fault_is_on(fault, site) && fault_state::detail.load(std::memory_order_relaxed) == detail;
}

inline bool is_of_emitter(Fault fault) {
  return fault >= Fault::emit_drops_rounding;
}

// Switches a fault on for a scope, for the whole process. One at a time.
class FaultScope {
 public:
  explicit FaultScope(Fault fault, int64_t site = 0, int64_t detail = 0) {
    fault_state::site.store(site, std::memory_order_relaxed);
    fault_state::detail.store(detail, std::memory_order_relaxed);
    fault_state::active.store(fault, std::memory_order_relaxed);
  }
  ~FaultScope() { fault_state::active.store(Fault::none, std::memory_order_relaxed); }
  FaultScope(const FaultScope&) = delete;
  FaultScope& operator=(const FaultScope&) = delete;
};

}  // namespace reprise
