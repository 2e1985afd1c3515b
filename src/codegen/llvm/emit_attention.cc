// Attention of one shape: the kernel of kernels/cpu/attention.h, written once more for the rows of one token, with every
// size a constant. An item is `sets` kv heads of a token. What is said there about the order of sums holds here, step by
// step, so that the bits are the same; only what is independent is laid side by side: the rows of all sets, whose chains
// hide one another's latency, and the largest scores and sums of all rows, which are the lanes of one vector.
#include "codegen/llvm/emit_attention.h"

#include <llvm/IR/IntrinsicsX86.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstddef>
#include <limits>
#include <numeric>
#include <vector>

#include "codegen/llvm/lane_code.h"
#include "core/error.h"
#include "core/fault.h"
#include "core/kv_layout.h"
#include "core/launch.h"
#include "loop/attention.h"
#include "loop/functions.h"

namespace reprise::codegen {
namespace {

using Values = std::vector<llvm::Value*>;

constexpr int64_t kTileChunks = kAttentionTile / kLanes;
constexpr int64_t kMostUnrolled = 256;  // links of the chains of scores that are written out

// How the words of the cache are multiplied (kernels/cpu/attention_panel_inl.h).
enum class Words { floats, halves, pairs };

class AttentionEmitter : public LaneCode {
 public:
  AttentionEmitter(const loop::Attention& attention, const EmitOptions& options, llvm::LLVMContext& context)
      : LaneCode("paged_attention", options.level, context),
        a_(attention),
        words_(attention.dtype == DType::f32       ? Words::floats
               : options.level == Isa::avx512_bf16 ? Words::pairs
                                                   : Words::halves),
        chunks_(chunks_of(options.text)),
        group_(attention.group()),
        rows_(attention.sets * attention.group()),
        per_word_(words_ == Words::floats ? 1 : 2),
        head_words_((attention.head_dim + per_word_ - 1) / per_word_),
        stride_((attention.head_dim + kLanes - 1) / kLanes * kLanes) {
    for (int64_t d = 0; d < a_.head_dim; d += kLanes) {
      const auto elements = static_cast<int>(std::min<int64_t>(kLanes, a_.head_dim - d));
      const bool narrow = words_ != Words::pairs;  // whose product has 16 lanes
      pieces_.push_back({d, elements, narrow ? lanes_for(elements) : kLanes});
    }
  }

  std::unique_ptr<llvm::Module> run() {
    read_context();
    loop(function_->getArg(1), function_->getArg(2), 1, {}, [&](llvm::Value* item, const Values&) {
      const int64_t items = a_.kv_heads / a_.sets;
      token_ = ir_.CreateUDiv(item, number(items));
      head_ = ir_.CreateMul(ir_.CreateSub(item, ir_.CreateMul(token_, number(items))), number(a_.sets));
      const auto at_head = [&](llvm::Value* base) {
        llvm::Value* const row = ir_.CreateAdd(ir_.CreateMul(token_, number(a_.kv_heads)), head_);
        return ir_.CreateInBoundsGEP(element(), base, ir_.CreateMul(row, number(group_ * a_.head_dim)));
      };
      q_ = at_head(q_base_);
      out_ = at_head(out_base_);
      llvm::Value* const sequence = index_at(sequences_, token_);
      llvm::Value* const is_padding = ir_.CreateICmpSLT(sequence, number(0));
      when(is_padding, {}, [&] {
        loop(number(0), number(rows_ * a_.head_dim), 1, {}, [&](llvm::Value* i, const Values&) {
          llvm::Type* const zero = a_.dtype == DType::f32 ? ir_.getInt32Ty() : ir_.getInt16Ty();
          ir_.CreateAlignedStore(llvm::ConstantInt::get(zero, 0), ir_.CreateInBoundsGEP(element(), out_, i),
                                 element_align());
          return Values{};
        });
        return Values{};
      });
      when(ir_.CreateNot(is_padding), {}, [&] {
        table_of_sequence_ =
            ir_.CreateInBoundsGEP(ir_.getInt32Ty(), tables_, ir_.CreateMul(sequence, max_blocks_));
        attend();
        return Values{};
      });
      return Values{};
    });
    ir_.CreateRetVoid();
    return finish();
  }

 private:
  // Elements of a row of V and of what is computed of them: a vector of `lanes`, of which `elements` count.
  struct Piece {
    int64_t first;
    int elements, lanes;
  };

  static int64_t chunks_of(std::string_view options) {
    constexpr std::string_view kKey = "chunks ";
    int64_t chunks = 1;
    if (options.empty()) return chunks;
    const char* const end = options.data() + options.size();
    if (options.starts_with(kKey)) {
      const auto [stop, error] = std::from_chars(options.data() + kKey.size(), end, chunks);
      if (error == std::errc{} && stop == end && chunks >= 1 && chunks <= kTileChunks) return chunks;
    }
    throw Error("[emit] options '{}', expected 'chunks 1' to 'chunks {}'", options, kTileChunks);
  }

  // ---- memory
  llvm::Type* element() { return element_of(a_.dtype); }
  llvm::Align element_align() const { return llvm::Align(a_.dtype == DType::f32 ? 4 : 2); }
  llvm::Value* load_lanes(llvm::Value* from, int lanes = kLanes) {
    return ir_.CreateAlignedLoad(lanes_of_f32(lanes), from, llvm::Align(4));
  }
  void store_lanes(llvm::Value* value, llvm::Value* to) { ir_.CreateAlignedStore(value, to, llvm::Align(4)); }
  llvm::Value* splat_of_lane(llvm::Value* vector, int64_t lane, int lanes = kLanes) {
    return ir_.CreateShuffleVector(vector,
                                   std::vector<int>(static_cast<size_t>(lanes), static_cast<int>(lane)));
  }
  llvm::Value* least() { return splat(constant(kLeast, nullptr)); }

  void read_context() {
    llvm::Value* const buffers = field(offsetof(KernelContext, buffers));
    q_base_ = buffer(buffers, 0);
    k_ = buffer(buffers, 1);
    v_ = buffer(buffers, 2);
    tables_ = buffer(buffers, 3);
    sequences_ = buffer(buffers, 4);
    positions_ = buffer(buffers, 5);
    out_base_ = buffer(buffers, 6);
    llvm::Value* const settings = field(offsetof(KernelContext, scalars));
    const auto read = [&](llvm::Type* type, size_t offset, unsigned align) {
      return ir_.CreateAlignedLoad(type, ir_.CreateConstInBoundsGEP1_64(ir_.getInt8Ty(), settings, offset),
                                   llvm::Align(align));
    };
    max_blocks_ = read(ir_.getInt64Ty(), offsetof(loop::AttentionSettings, max_blocks), 8);
    partition_size_ = read(ir_.getInt64Ty(), offsetof(loop::AttentionSettings, partition_size), 8);
    scale_ = splat(read(f32_, offsetof(loop::AttentionSettings, scale), 4));
    llvm::Value* const scratch = field(offsetof(KernelContext, scratch));
    int64_t used = 0;
    const auto take = [&](int64_t floats) {
      llvm::Value* const begin = at(scratch, used);
      used += floats;
      return begin;
    };
    sums_ = take(rows_ * stride_);
    totals_ = take(rows_ * stride_);
    scores_ = take(rows_ * kAttentionTile);
    weights_ = words_ == Words::pairs ? take(rows_ * kAttentionTile / 2) : scores_;
    lanes_sums_ = take(rows_ * kLanes);
    own_q_ = take(rows_ * stride_);
  }

  // ---- one item
  void attend() {
    take_queries();
    llvm::Value* const position = index_at(positions_, token_);
    last_ = ir_.CreateAdd(position, number(1));
    first_ = number(0);
    if (a_.window > 0) first_ = larger(ir_.CreateSub(last_, number(a_.window)), number(0));
    llvm::Value* begin = number(0);
    if (a_.window > 0) begin = ir_.CreateMul(ir_.CreateUDiv(first_, partition_size_), partition_size_);
    // Over partitions, whose size is no constant.
    llvm::Value* const stop =
        ir_.CreateUDiv(ir_.CreateAdd(ir_.CreateSub(last_, begin), ir_.CreateSub(partition_size_, number(1))),
                       partition_size_);
    const Values totals = loop(number(0), stop, 1, {least(), zeros()}, [&](llvm::Value* i, Values so_far) {
      llvm::Value* const from = ir_.CreateAdd(begin, ir_.CreateMul(i, partition_size_));
      return add_partition(from, ir_.CreateICmpEQ(i, number(0)), so_far);
    });
    for (int64_t r = 0; r < rows_; ++r)
      for (const Piece& piece : pieces_) {
        llvm::Value* const sum = load_lanes(at(totals_, r * stride_ + piece.first), piece.lanes);
        write(ir_.CreateFDiv(sum, splat_of_lane(totals[1], r, piece.lanes)), r, piece);
      }
  }

  void write(llvm::Value* value, int64_t row, const Piece& piece) {
    llvm::Value* const to = ir_.CreateInBoundsGEP(element(), out_, number(row * a_.head_dim + piece.first));
    if (a_.dtype == DType::bf16) value = upper_halves(rounded_bits(value, true));
    store_first(value, to, piece.elements);
  }

  // Queries as the products take them. Floats and pairs are read where they lie, but for an odd last element.
  void take_queries() {
    if (words_ == Words::floats) return;
    if (words_ == Words::pairs && a_.head_dim % 2 == 0) return;
    for (int64_t r = 0; r < rows_; ++r)
      for (int64_t d = 0; d < a_.head_dim; d += kLanes) {
        llvm::Value* const from = ir_.CreateInBoundsGEP(ir_.getInt16Ty(), q_, number(r * a_.head_dim + d));
        const auto left = static_cast<int>(std::min<int64_t>(kLanes, a_.head_dim - d));
        llvm::Value* const read = load_first(ir_.getInt16Ty(), from, left, kLanes);
        if (words_ == Words::halves)
          store_lanes(widened(read), at(own_q_, r * stride_ + d));
        else  // the lanes beyond are 0
          ir_.CreateAlignedStore(read, at(own_q_, r * stride_ + d / 2), llvm::Align(4));
      }
  }
  // Number `i` of row r's query in every lane: an element, or a word of pairs.
  llvm::Value* query(int64_t r, llvm::Value* i) {
    if (words_ == Words::pairs) {
      llvm::Value* const from =
          a_.head_dim % 2 == 0
              ? ir_.CreateInBoundsGEP(f32_,
                                      ir_.CreateInBoundsGEP(ir_.getInt16Ty(), q_, number(r * a_.head_dim)), i)
              : at(own_q_, ir_.CreateAdd(number(r * stride_), i));
      return splat(ir_.CreateAlignedLoad(f32_, from, llvm::Align(2)));
    }
    llvm::Value* const from = words_ == Words::floats ? at(q_, ir_.CreateAdd(number(r * a_.head_dim), i))
                                                      : at(own_q_, ir_.CreateAdd(number(r * stride_), i));
    return splat(ir_.CreateAlignedLoad(f32_, from, llvm::Align(4)));
  }

  // What a partition from key `from` adds to the largest scores and sums of weights of the rows.
  Values add_partition(llvm::Value* from, llvm::Value* is_first, const Values& totals) {
    llvm::Value* const stop = smaller(last_, ir_.CreateAdd(from, partition_size_));
    llvm::Value* const start = a_.window > 0 ? larger(first_, from) : from;
    for (int64_t r = 0; r < rows_; ++r) {
      store_lanes(zeros(), at(lanes_sums_, r * kLanes));
      for (const Piece& piece : pieces_)
        store_lanes(zeros(piece.lanes), at(sums_, r * stride_ + piece.first));
    }
    stop_ = stop;
    llvm::Value* const first_tile = ir_.CreateAnd(start, number(-kAttentionTile));
    llvm::Value* const largest =
        loop(first_tile, stop, kAttentionTile, {least()}, [&](llvm::Value* tile, Values so_far) {
          llvm::Value* to = smaller(ir_.CreateSub(stop, tile), number(kAttentionTile));
          if (fault_is_on(Fault::emit_attention_misses_key, 0))
            to = larger(ir_.CreateSub(to, number(1)), number(1));
          if (fault_is_on(Fault::emit_attention_misses_key, 1)) to = number(kAttentionTile);
          llvm::Value* const begin =
              a_.window > 0 ? larger(ir_.CreateSub(start, tile), number(0)) : number(0);
          return Values{add_tile(tile, begin, to, ir_.CreateICmpEQ(tile, first_tile), so_far[0])};
        })[0];
    Values lanes;
    for (int64_t r = 0; r < rows_; ++r) lanes.push_back(load_lanes(at(lanes_sums_, r * kLanes)));
    llvm::Value* const sums =
        rows_in_lanes(lanes, [&](llvm::Value* a, llvm::Value* b) { return ir_.CreateFAdd(a, b); });
    return merge(totals, largest, sums, is_first);
  }

  // As merge_partition() in kernels/cpu/attention_scratch_inl.h.
  Values merge(const Values& totals, llvm::Value* largest, llvm::Value* sums, llvm::Value* is_first) {
    when(is_first, {}, [&] {
      for (int64_t r = 0; r < rows_; ++r)
        for (const Piece& piece : pieces_) {
          const int64_t i = r * stride_ + piece.first;
          store_lanes(load_lanes(at(sums_, i), piece.lanes), at(totals_, i));
        }
      return Values{};
    });
    return when(ir_.CreateNot(is_first), {largest, sums}, [&] {
      llvm::Value* const top = least_or_largest(true, totals[0], largest);
      const Lanes before = loop::functions::exp_nonpositive(of(totals[0]) - of(top));
      const Lanes now = loop::functions::exp_nonpositive(of(largest) - of(top));
      for (int64_t r = 0; r < rows_; ++r)
        for (const Piece& piece : pieces_) {
          const int64_t i = r * stride_ + piece.first;
          const Lanes scaled =
              of(load_lanes(at(totals_, i), piece.lanes)) * of(splat_of_lane(before.value, r, piece.lanes));
          store_lanes(fma(of(load_lanes(at(sums_, i), piece.lanes)),
                          of(splat_of_lane(now.value, r, piece.lanes)), scaled)
                          .value,
                      at(totals_, i));
        }
      return Values{top, fma(of(sums), now, of(totals[1]) * before).value};
    });
  }

  // The keys [from, to) of the tile; `largest` of the tiles before. Returns the largest with this one.
  llvm::Value* add_tile(llvm::Value* tile, llvm::Value* from, llvm::Value* to, llvm::Value* is_first,
                        llvm::Value* largest) {
    tile_ = tile;
    if (tiles_are_whole()) whole_tile_ = place_of(tile);
    if (looks_ahead()) {
      llvm::Value* const next = ir_.CreateAdd(tile, number(kAttentionTile));
      next_tile_ = place_of(ir_.CreateSelect(ir_.CreateICmpSLT(next, stop_), next, tile));
    }
    llvm::Value* const first_chunk =
        a_.window > 0 ? ir_.CreateUDiv(from, number(kLanes)) : static_cast<llvm::Value*>(number(0));
    llvm::Value* const stop = ir_.CreateLShr(ir_.CreateAdd(to, number(kLanes - 1)), number(4));
    const Values tops = scores(first_chunk, stop, from, to);
    llvm::Value* const top =
        rows_in_lanes(tops, [&](llvm::Value* a, llvm::Value* b) { return least_or_largest(true, a, b); });
    llvm::Value* const now = least_or_largest(true, top, largest);
    rescale(largest, now, is_first);
    weights(first_chunk, stop, now);
    for (const Sums& block : blocks_of_sums()) add_values(block, first_chunk, stop, from, to);
    return now;
  }

  // A block holds whole tiles, so that a tile is looked up once.
  bool tiles_are_whole() const { return a_.block_size % kAttentionTile == 0; }
  // Of large heads the next tile is drawn into the caches while this one is computed.
  bool looks_ahead() const { return tiles_are_whole() && a_.sets == 1; }

  // A chunk of keys, or a tile of them, in the cache: where the item's first head begins.
  struct Place {
    llvm::Value* head;    // words from the begin of the cache
    llvm::Value* offset;  // keys behind it
  };
  Place place_of(llvm::Value* key) {
    llvm::Value* const column = ir_.CreateUDiv(key, number(a_.block_size));
    llvm::Value* const block = index_at(table_of_sequence_, column);
    llvm::Value* const head = ir_.CreateAdd(ir_.CreateMul(block, number(a_.kv_heads)), head_);
    return {ir_.CreateMul(head, number(set_words())),
            ir_.CreateSub(key, ir_.CreateMul(column, number(a_.block_size)))};
  }
  int64_t set_words() const { return head_words_ * a_.block_size; }
  llvm::Value* keys_at(llvm::Value* chunk) {
    llvm::Value* const first = ir_.CreateMul(chunk, number(kLanes));
    if (tiles_are_whole())
      return at(k_, ir_.CreateAdd(ir_.CreateAdd(whole_tile_.head, whole_tile_.offset), first));
    const Place place = place_of(ir_.CreateAdd(tile_, first));
    return at(k_, ir_.CreateAdd(place.head, place.offset));
  }

  // Scores of the chunks [first, stop), with minus infinity for keys that the token does not see. Returns the largest
  // of each row, lane by lane.
  Values scores(llvm::Value* first, llvm::Value* stop, llvm::Value* from, llvm::Value* to) {
    Values tops(static_cast<size_t>(rows_), least());
    llvm::Value* begin = first;
    if (chunks_ > 1) {
      llvm::Value* const count = ir_.CreateSub(stop, first);
      begin = ir_.CreateAdd(first, ir_.CreateSub(count, ir_.CreateURem(count, number(chunks_))));
      tops = loop(first, begin, chunks_, tops, [&](llvm::Value* chunk, Values so_far) {
        return scores_of(chunk, chunks_, from, to, std::move(so_far));
      });
    }
    return loop(begin, stop, 1, tops, [&](llvm::Value* chunk, Values so_far) {
      return scores_of(chunk, 1, from, to, std::move(so_far));
    });
  }

  Values scores_of(llvm::Value* chunk, int64_t count, llvm::Value* from, llvm::Value* to, Values tops) {
    Values keys;
    for (int64_t c = 0; c < count; ++c) keys.push_back(keys_at(ir_.CreateAdd(chunk, number(c))));
    if (looks_ahead())
      ahead_ = ir_.CreateSub(ir_.CreateAdd(next_tile_.head, next_tile_.offset),
                             ir_.CreateAdd(whole_tile_.head, whole_tile_.offset));
    Values sums(static_cast<size_t>(rows_ * count), zeros());
    const int64_t links = rows_ * count * head_words_ * per_word_;
    const int64_t step = links <= kMostUnrolled ? head_words_ : std::gcd(head_words_, int64_t{4});
    if (step == head_words_)
      sums = score_words(keys, number(0), step, std::move(sums));
    else
      sums = loop(number(0), number(head_words_), step, sums, [&](llvm::Value* word, Values so_far) {
        return score_words(keys, word, step, std::move(so_far));
      });
    for (int64_t c = 0; c < count; ++c) {
      llvm::Value* const start = ir_.CreateMul(ir_.CreateAdd(chunk, number(c)), number(kLanes));
      llvm::Value* const seen = lanes_seen(ir_.CreateSub(from, start), ir_.CreateSub(to, start));
      for (int64_t r = 0; r < rows_; ++r) {
        llvm::Value* const scaled = ir_.CreateFMul(sums[static_cast<size_t>(r * count + c)], scale_);
        llvm::Value* const score = floats(ir_.CreateSelect(seen, bits(scaled), bits(least())));
        store_lanes(score, at(scores_, ir_.CreateAdd(number(r * kAttentionTile), start)));
        llvm::Value*& top = tops[static_cast<size_t>(r)];
        top = least_or_largest(true, top, score);
      }
    }
    return tops;
  }

  // The words [first, first + count) of the keys, as one chain for each row and chunk.
  Values score_words(const Values& keys, llvm::Value* first, int64_t count, Values sums) {
    for (int64_t w = 0; w < count; ++w) {
      llvm::Value* const word = ir_.CreateAdd(first, number(w));
      llvm::Value* const offset = ir_.CreateMul(word, number(a_.block_size));
      for (int64_t set = 0; set < a_.sets; ++set) {
        Values read;
        for (llvm::Value* from : keys)
          read.push_back(load_lanes(at(from, ir_.CreateAdd(offset, number(set * set_words())))));
        for (llvm::Value* from : keys)
          if (looks_ahead()) fetch(at(from, ir_.CreateAdd(offset, ahead_)), false, 2);
        // Elements of a word one after the other; a word's second one that is no element is left out.
        const bool is_last = count == head_words_ && w == count - 1;
        const int parts = words_ != Words::halves ? 1 : is_last && a_.head_dim % 2 != 0 ? 1 : 2;
        for (int part = 0; part < parts; ++part)
          for (int64_t g = 0; g < group_; ++g) {
            const int64_t r = set * group_ + g;
            llvm::Value* const number_of_query =
                words_ == Words::halves ? ir_.CreateAdd(ir_.CreateMul(word, number(2)), number(part)) : word;
            llvm::Value* const q = query(r, number_of_query);
            for (size_t c = 0; c < keys.size(); ++c) {
              llvm::Value*& sum = sums[static_cast<size_t>(r) * keys.size() + c];
              sum = link(q, words_ == Words::halves ? half_of(read[c], part) : read[c], sum);
            }
          }
      }
    }
    return sums;
  }

  llvm::Value* half_of(llvm::Value* words, int part) {
    llvm::Value* const raw = bits(words);
    return floats(part == 0 ? ir_.CreateShl(raw, llvm::ConstantInt::get(raw->getType(), 16))
                            : ir_.CreateAnd(raw, llvm::ConstantInt::get(raw->getType(), 0xffff0000u)));
  }
  // One link of a chain.
  llvm::Value* link(llvm::Value* a, llvm::Value* b, llvm::Value* sum) {
    if (words_ != Words::pairs) return intrinsic(llvm::Intrinsic::fma, {a, b, sum});
    auto* const pairs = llvm::FixedVectorType::get(ir_.getBFloatTy(), 2 * kLanes);
    return ir_.CreateIntrinsic(lanes_, llvm::Intrinsic::x86_avx512bf16_dpbf16ps_512,
                               {sum, ir_.CreateBitCast(a, pairs), ir_.CreateBitCast(b, pairs)});
  }

  // Lanes from <= lane < to.
  llvm::Value* lanes_seen(llvm::Value* from, llvm::Value* to) {
    std::vector<llvm::Constant*> numbers;
    for (int lane = 0; lane < kLanes; ++lane) numbers.push_back(ir_.getInt32(static_cast<uint32_t>(lane)));
    llvm::Value* const lane = llvm::ConstantVector::get(numbers);
    const auto everywhere = [&](llvm::Value* n) { return splat(ir_.CreateTrunc(n, ir_.getInt32Ty())); };
    llvm::Value* seen = ir_.CreateICmpSLT(lane, everywhere(to));
    if (a_.window > 0) seen = ir_.CreateAnd(seen, ir_.CreateICmpSGE(lane, everywhere(from)));
    return seen;
  }

  // What was summed up to now, in times of the new largest scores.
  void rescale(llvm::Value* before, llvm::Value* now, llvm::Value* is_first) {
    llvm::Value* const changed = ir_.CreateFCmpUNE(before, now);
    std::vector<llvm::Constant*> ours;
    for (int lane = 0; lane < kLanes; ++lane) ours.push_back(ir_.getInt1(lane < rows_));
    llvm::Value* const any = ir_.CreateICmpNE(
        ir_.CreateBitCast(ir_.CreateAnd(changed, llvm::ConstantVector::get(ours)), ir_.getInt16Ty()),
        ir_.getInt16(0));
    when(ir_.CreateAnd(any, ir_.CreateNot(is_first)), {}, [&] {
      const Lanes shrunk = loop::functions::exp_nonpositive(of(before) - of(now));
      llvm::Value* const factors =
          floats(ir_.CreateSelect(changed, bits(shrunk.value), mask(std::bit_cast<uint32_t>(1.0f), now)));
      for (int64_t r = 0; r < rows_; ++r) {
        const auto scale = [&](llvm::Value* place, int lanes) {
          store_lanes(ir_.CreateFMul(load_lanes(place, lanes), splat_of_lane(factors, r, lanes)), place);
        };
        if (!fault_is_on(Fault::emit_attention_forgets_scale, 0)) scale(at(lanes_sums_, r * kLanes), kLanes);
        for (const Piece& piece : pieces_)
          if (!fault_is_on(Fault::emit_attention_forgets_scale, 1))
            scale(at(sums_, r * stride_ + piece.first), piece.lanes);
      }
      return Values{};
    });
  }

  // Scores to weights, and the sums of them.
  void weights(llvm::Value* first, llvm::Value* stop, llvm::Value* now) {
    Values sums;
    for (int64_t r = 0; r < rows_; ++r) sums.push_back(load_lanes(at(lanes_sums_, r * kLanes)));
    sums = loop(first, stop, 1, sums, [&](llvm::Value* chunk, Values so_far) {
      llvm::Value* const start = ir_.CreateMul(chunk, number(kLanes));
      for (int64_t r = 0; r < rows_; ++r) {
        llvm::Value* const score = load_lanes(at(scores_, ir_.CreateAdd(number(r * kAttentionTile), start)));
        llvm::Value* weight = loop::functions::exp_nonpositive(of(score) - of(splat_of_lane(now, r))).value;
        llvm::Value* const index = ir_.CreateAdd(number(r * kAttentionTile), start);
        if (words_ == Words::pairs) {
          llvm::Value* const raw = rounded_bits(weight, false);
          ir_.CreateAlignedStore(upper_halves(raw), ir_.CreateInBoundsGEP(ir_.getInt16Ty(), weights_, index),
                                 llvm::Align(4));
          weight = floats(raw);
        } else {
          store_lanes(weight, at(weights_, index));
        }
        llvm::Value*& sum = so_far[static_cast<size_t>(r)];
        sum = ir_.CreateFAdd(sum, weight);
      }
      return so_far;
    });
    for (int64_t r = 0; r < rows_; ++r)
      store_lanes(sums[static_cast<size_t>(r)], at(lanes_sums_, r * kLanes));
  }

  // Sums that are kept in registers together: the rows of the sets [first_set, last_set), pieces [first, last).
  struct Sums {
    int64_t first_set, last_set;
    size_t first, last;
  };
  std::vector<Sums> blocks_of_sums() const {
    const auto registers_of = [&](const Piece& piece) {
      return level_ == Isa::avx2 ? std::max(1, piece.lanes / 8) : 1;
    };
    const int64_t most = level_ == Isa::avx2 ? 12 : 24;
    int64_t of_row = 0;
    for (const Piece& piece : pieces_) of_row += registers_of(piece);
    std::vector<Sums> blocks;
    if (rows_ * of_row <= most) {
      blocks.push_back({0, a_.sets, 0, pieces_.size()});
      return blocks;
    }
    for (int64_t set = 0; set < a_.sets; ++set)
      for (size_t first = 0; first < pieces_.size();) {
        int64_t registers = 0;
        size_t last = first;
        while (last < pieces_.size() &&
               (last == first || (registers + registers_of(pieces_[last])) * group_ <= most))
          registers += registers_of(pieces_[last++]);
        blocks.push_back({set, set + 1, first, last});
        first = last;
      }
    return blocks;
  }

  // sums += weights * values, key by key.
  void add_values(const Sums& block, llvm::Value* first_chunk, llvm::Value* stop, llvm::Value* from,
                  llvm::Value* to) {
    Values sums;
    const auto each = [&](auto&& body) {
      size_t i = 0;
      for (int64_t r = block.first_set * group_; r < block.last_set * group_; ++r)
        for (size_t p = block.first; p < block.last; ++p)
          body(i++, at(sums_, r * stride_ + pieces_[p].first), pieces_[p].lanes);
    };
    each([&](size_t, llvm::Value* place, int lanes) { sums.push_back(load_lanes(place, lanes)); });
    if (looks_ahead()) ahead_ = ir_.CreateSub(words_of(next_tile_), words_of(whole_tile_));
    if (tiles_are_whole()) {
      sums = add_keys(block, values_at(whole_tile_), number(0), from, to, std::move(sums));
    } else {
      sums = loop(first_chunk, stop, 1, sums, [&](llvm::Value* chunk, Values so_far) {
        llvm::Value* const start = ir_.CreateMul(chunk, number(kLanes));
        return add_keys(block, values_at(place_of(ir_.CreateAdd(tile_, start))), start, larger(from, start),
                        smaller(to, ir_.CreateAdd(start, number(kLanes))), std::move(so_far));
      });
    }
    each([&](size_t i, llvm::Value* place, int) { store_lanes(sums[i], place); });
  }
  llvm::Value* words_of(const Place& place) {
    llvm::Value* const words =
        ir_.CreateMul(ir_.CreateUDiv(place.offset, number(per_word_)), number(a_.head_dim));
    return ir_.CreateAdd(place.head, words);
  }
  llvm::Value* values_at(const Place& place) { return at(v_, words_of(place)); }

  // Keys [from, to) of the tile, whose values begin with those of key `start`.
  Values add_keys(const Sums& block, llvm::Value* values, llvm::Value* start, llvm::Value* from,
                  llvm::Value* to, Values sums) {
    const auto word_of = [&](llvm::Value* key) {
      llvm::Value* const word = ir_.CreateLShr(ir_.CreateSub(key, start), number(per_word_ / 2));
      return at(values, ir_.CreateMul(word, number(a_.head_dim)));
    };
    if (per_word_ == 1) {
      return loop(from, to, 1, sums, [&](llvm::Value* key, Values so_far) {
        return add_key(block, word_of(key), key, std::move(so_far), 0);
      });
    }
    // Words of which the token sees one key alone, at either end.
    llvm::Value* begin = from;
    if (a_.window > 0) {
      llvm::Value* const odd = ir_.CreateAnd(from, number(1));
      sums = when(ir_.CreateAnd(ir_.CreateICmpNE(odd, number(0)), ir_.CreateICmpSLT(from, to)), sums,
                  [&] { return add_key(block, word_of(from), from, sums, 1); });
      begin = ir_.CreateAdd(from, odd);
    }
    llvm::Value* const end = ir_.CreateAnd(to, number(-2));
    sums = loop(begin, end, 2, sums, [&](llvm::Value* key, Values so_far) {
      return add_word(block, word_of(key), key, std::move(so_far));
    });
    llvm::Value* const one_left = ir_.CreateAnd(ir_.CreateICmpNE(end, to), ir_.CreateICmpSLE(begin, end));
    return when(one_left, sums, [&] { return add_key(block, word_of(end), end, sums, 0); });
  }

  // Calls body(row, sum, words) for each sum of the block.
  template <typename Body>
  void each_sum(const Sums& block, llvm::Value* word, Values& sums, Body body) {
    const size_t pieces = block.last - block.first;
    for (int64_t set = block.first_set; set < block.last_set; ++set) {
      Values read;
      for (size_t p = block.first; p < block.last; ++p)
        read.push_back(load_first(f32_, at(word, set * set_words() + pieces_[p].first), pieces_[p].elements,
                                  pieces_[p].lanes));
      for (size_t p = block.first; p < block.last && looks_ahead(); ++p)
        fetch(at(at(word, ahead_), pieces_[p].first), false, 2);
      for (int64_t g = 0; g < group_; ++g) {
        const int64_t r = set * group_ + g;
        const auto first = static_cast<size_t>(r - block.first_set * group_) * pieces;
        body(r, &sums[first], read);
      }
    }
  }
  // Of key `index` as a number of the row's weights.
  llvm::Value* weight_at(llvm::Value* index) {
    if (words_ != Words::pairs) return ir_.CreateAlignedLoad(f32_, at(weights_, index), llvm::Align(4));
    llvm::Value* const half = ir_.CreateAlignedLoad(
        ir_.getInt16Ty(), ir_.CreateInBoundsGEP(ir_.getInt16Ty(), weights_, index), llvm::Align(2));
    return ir_.CreateBitCast(ir_.CreateShl(ir_.CreateZExt(half, ir_.getInt32Ty()), 16), f32_);
  }
  void add_product(llvm::Value* weight, llvm::Value* value, llvm::Value*& sum) {
    sum = intrinsic(llvm::Intrinsic::fma, {splat(weight, lanes_in(value)), value, sum});
  }
  // One key; of a word of two the one at `part`.
  Values add_key(const Sums& block, llvm::Value* word, llvm::Value* key, Values sums, int part) {
    each_sum(block, word, sums, [&](int64_t r, llvm::Value** of_row, const Values& read) {
      llvm::Value* const weight = weight_at(ir_.CreateAdd(number(r * kAttentionTile), key));
      for (size_t i = 0; i < read.size(); ++i)
        add_product(weight, per_word_ == 1 ? read[i] : half_of(read[i], part), of_row[i]);
    });
    return sums;
  }
  // Both keys of a word.
  Values add_word(const Sums& block, llvm::Value* word, llvm::Value* key, Values sums) {
    each_sum(block, word, sums, [&](int64_t r, llvm::Value** of_row, const Values& read) {
      llvm::Value* const index = ir_.CreateAdd(number(r * kAttentionTile), key);
      if (words_ == Words::pairs) {
        llvm::Value* const weights = ir_.CreateAlignedLoad(
            f32_, ir_.CreateInBoundsGEP(ir_.getInt16Ty(), weights_, index), llvm::Align(2));
        for (size_t i = 0; i < read.size(); ++i) of_row[i] = link(splat(weights), read[i], of_row[i]);
        return;
      }
      for (int part = 0; part < 2; ++part) {
        llvm::Value* const weight = weight_at(ir_.CreateAdd(index, number(part)));
        for (size_t i = 0; i < read.size(); ++i) add_product(weight, half_of(read[i], part), of_row[i]);
      }
    });
    return sums;
  }

  // ---- small things
  // Reduces each vector by the tree of vec.h (lane i with i + 8, then + 4, + 2, + 1), all of them at once: vector r's
  // result is lane r.
  template <typename Op>
  llvm::Value* rows_in_lanes(Values vectors, Op op) {
    for (int width = kLanes; width > 1; width /= 2) {
      Values halved;
      for (size_t i = 0; i < vectors.size(); i += 2) {
        const bool two = i + 1 < vectors.size();
        std::vector<int> low, high;
        for (int from = 0; from < 2 * kLanes; from += width)
          for (int lane = from; lane < from + width / 2; ++lane) {
            const bool there = two || from < kLanes;
            low.push_back(there ? lane : -1);
            high.push_back(there ? lane + width / 2 : -1);
          }
        llvm::Value* const other = two ? vectors[i + 1] : llvm::PoisonValue::get(lanes_);
        llvm::Value* const a = ir_.CreateShuffleVector(vectors[i], other, low);
        halved.push_back(op(a, ir_.CreateShuffleVector(vectors[i], other, high)));
      }
      vectors = std::move(halved);
    }
    return vectors[0];
  }

  static constexpr uint32_t kLeast = std::bit_cast<uint32_t>(-std::numeric_limits<float>::infinity());

  const loop::Attention a_;
  const Words words_;
  const int64_t chunks_;  // of keys, whose scores are computed in turn
  const int64_t group_, rows_, per_word_, head_words_;
  const int64_t stride_;  // floats of a row of sums
  std::vector<Piece> pieces_;
  llvm::Value *q_base_ = nullptr, *out_base_ = nullptr, *k_ = nullptr, *v_ = nullptr;
  llvm::Value *tables_ = nullptr, *sequences_ = nullptr, *positions_ = nullptr;
  llvm::Value *max_blocks_ = nullptr, *partition_size_ = nullptr, *scale_ = nullptr;
  // Scratch: sums and totals [rows, stride], scores and weights [rows, 64], sums of weights by lane [rows, 16], queries.
  llvm::Value *sums_ = nullptr, *totals_ = nullptr, *scores_ = nullptr, *weights_ = nullptr;
  llvm::Value *lanes_sums_ = nullptr, *own_q_ = nullptr;
  // Of the item.
  llvm::Value *token_ = nullptr, *head_ = nullptr, *q_ = nullptr, *out_ = nullptr;
  llvm::Value *table_of_sequence_ = nullptr, *first_ = nullptr,
              *last_ = nullptr;  // sees the keys [first, last)
  // Of the tile. `ahead_`: words from what is read to the same of the next tile.
  llvm::Value *tile_ = nullptr, *stop_ = nullptr, *ahead_ = nullptr;
  Place whole_tile_ = {}, next_tile_ = {};
};

}  // namespace

std::unique_ptr<llvm::Module> emit_attention(std::string_view program, const EmitOptions& options,
                                             llvm::LLVMContext& context) {
  return AttentionEmitter(loop::parse_attention(program), options, context).run();
}

}  // namespace reprise::codegen
