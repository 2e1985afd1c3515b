// Norm and rotation of the heads of q and k, and k and v into the cache, of one shape: the kernel of
// kernels/cpu/rotary_kv_write.h, written once more for one token and some of its kv heads, with every size a constant.
// An element is computed as it is there, so the bits are the same. Cosines and sines are read once an item. Heads of at
// most 16 elements lie side by side in a vector, as many as it holds; of larger ones each vector turns for itself.
#include "codegen/llvm/emit_rotary.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <utility>
#include <vector>

#include "codegen/llvm/lane_code.h"
#include "core/error.h"
#include "core/fault.h"
#include "core/launch.h"
#include "loop/rotary.h"

namespace reprise::codegen {
namespace {

using Values = std::vector<llvm::Value*>;

constexpr int64_t kMostUnrolled = 16;  // vectors of small heads that are written out

class RotaryEmitter : public LaneCode {
 public:
  RotaryEmitter(const loop::RotaryKvWrite& rotary, const EmitOptions& options, llvm::LLVMContext& context)
      : LaneCode("rotary_kv_write", options.level, context),
        r_(rotary),
        element_(element_of(rotary.dtype)),
        is_bf16_(rotary.dtype == DType::bf16),
        half_(static_cast<int>(rotary.rot_dim / 2)),
        dim_(static_cast<int>(rotary.head_dim)),
        heads_in_vector_(rotary.q_norm || rotary.k_norm ? 1 : std::max(1, kLanes / dim_)),
        per_word_(is_bf16_ ? 2 : 1),
        head_words_((dim_ + per_word_ - 1) / per_word_) {
    if (!options.text.empty() && options.text != "chunks 1")
      throw Error("[emit] options '{}', expected 'chunks 1'", options.text);
  }

  std::unique_ptr<llvm::Module> run() {
    read_context();
    loop(function_->getArg(1), function_->getArg(2), 1, {}, [&](llvm::Value* item, const Values&) {
      begin_item(item);
      is_real_ = ir_.CreateICmpSGE(slot_, number(r_.block_size));  // no row of padding
      if (are_small()) {
        write_item(number(0), r_.sets);
      } else {  // a key's lines are drawn near while its queries turn
        each(r_.sets, 1, [&](llvm::Value* head) { write_item(head, 1); });
      }
      return Values{};
    });
    ir_.CreateRetVoid();
    return finish();
  }

 private:
  // `sets` kv heads from `first` on, and their query heads.
  void write_item(llvm::Value* first, int64_t sets) {
    when(is_real_, {}, [&] {
      each(sets, kMostUnrolled, [&](llvm::Value* i) { fetch_key(ir_.CreateAdd(first, i)); });
      return Values{};
    });
    llvm::Value* const first_query = ir_.CreateMul(first, number(r_.group()));
    each_vector(sets * r_.group(), [&](llvm::Value* i, int count) {
      llvm::Value* const offset = ir_.CreateMul(ir_.CreateAdd(first_query, i), number(dim_));
      for (const Piece& piece : turned(element_at(q_, offset), q_norm_, count))
        store_first(piece.value, element_at(y_, offset, piece.first), piece.count);
    });
    when(is_real_, {}, [&] {
      each_vector(sets, [&](llvm::Value* i, int count) {
        llvm::Value* const head = ir_.CreateAdd(first, i);
        write_keys(turned(element_at(k_, ir_.CreateMul(head, number(dim_))), k_norm_, count), head, count);
        for (int own = 0; own < count; ++own) write_value(ir_.CreateAdd(head, number(own)));
      });
      return Values{};
    });
  }

  // Elements of a head, or of heads that lie in one vector: the first `count` lanes of a vector.
  struct Piece {
    int first, count;
    llvm::Value* value;  // f32, or the 16 bits of bf16
  };
  // What a piece of a head turns with. runs: the piece half a rotation further; within: its own lanes; stays: nothing.
  enum class Turn { runs, within, stays };
  struct Part {
    Turn turn;
    int first, count;
    llvm::Value *cos = nullptr, *sin = nullptr;  // by lane
  };

  // ---- where things lie
  llvm::Value* element_at(llvm::Value* base, llvm::Value* index, int64_t more = 0) {
    return ir_.CreateInBoundsGEP(element_, base, more == 0 ? index : ir_.CreateAdd(index, number(more)));
  }
  bool are_small() const { return dim_ <= kLanes; }

  void read_context() {
    llvm::Value* const buffers = field(offsetof(KernelContext, buffers));
    q_base_ = buffer(buffers, 0);
    k_base_ = buffer(buffers, 1);
    v_base_ = buffer(buffers, 2);
    cos_base_ = buffer(buffers, 5);
    sin_base_ = buffer(buffers, 6);
    positions_ = buffer(buffers, 7);
    slots_ = buffer(buffers, 8);
    keys_ = buffer(buffers, 9);
    values_ = buffer(buffers, 10);
    y_base_ = buffer(buffers, 11);
    tokens_ = ir_.CreateAlignedLoad(
        ir_.getInt64Ty(),
        ir_.CreateConstInBoundsGEP1_64(ir_.getInt8Ty(), function_->getArg(0),
                                       offsetof(KernelContext, sizes) + offsetof(StepSizes, tokens)),
        llvm::Align(8));
    if (r_.q_norm) q_norm_ = read_norm(buffer(buffers, 3));
    if (r_.k_norm) k_norm_ = read_norm(buffer(buffers, 4));
    // The sign of the second of a pair, which goes to the first one's lane.
    llvm::Value* const signs = mask(0x80000000u, zeros());
    std::vector<llvm::Constant*> ours;
    for (int lane = 0; lane < kLanes; ++lane)
      ours.push_back(ir_.getInt32(is_first_of_pair(lane % dim_) ? 0xffffffffu : 0));
    flips_ = ir_.CreateAnd(signs, llvm::ConstantVector::get(ours));
  }

  void begin_item(llvm::Value* item) {
    llvm::Value* part = number(0);
    llvm::Value* token = item;
    if (r_.items_of_token() > 1) {
      part = ir_.CreateUDiv(item, tokens_);
      token = ir_.CreateSub(item, ir_.CreateMul(part, tokens_));
    }
    head_ = ir_.CreateMul(part, number(r_.sets));
    const auto of_item = [&](llvm::Value* base, int64_t heads_of_kv_head) {
      llvm::Value* const head = ir_.CreateAdd(ir_.CreateMul(token, number(r_.kv_heads)), head_);
      return element_at(base, ir_.CreateMul(head, number(heads_of_kv_head * dim_)));
    };
    q_ = of_item(q_base_, r_.group());
    y_ = of_item(y_base_, r_.group());
    k_ = of_item(k_base_, 1);
    v_ = of_item(v_base_, 1);
    slot_ = index_at(slots_, token);
    llvm::Value* const block = ir_.CreateUDiv(slot_, number(r_.block_size));
    offset_ = ir_.CreateSub(slot_, ir_.CreateMul(block, number(r_.block_size)));
    first_word_ = ir_.CreateMul(ir_.CreateAdd(ir_.CreateMul(block, number(r_.kv_heads)), head_),
                                number(head_words_ * r_.block_size));
    llvm::Value* const row = ir_.CreateMul(r_.positions ? index_at(positions_, token) : token, number(half_));
    read_angles(at(cos_base_, row), at(sin_base_, row));
  }

  // ---- cosines and sines
  void read_angles(llvm::Value* cos, llvm::Value* sin) {
    if (fault_is_on(Fault::emit_rotary_exchanges_pair, 1)) std::swap(cos, sin);
    parts_.clear();
    if (are_small()) {
      std::vector<int> lanes;
      for (int lane = 0; lane < kLanes; ++lane) lanes.push_back(angle_of(lane % dim_));
      parts_.push_back({Turn::within, 0, dim_, spread(cos, half_, lanes), spread(sin, half_, lanes)});
      return;
    }
    if (r_.interleaved) {
      std::vector<int> lanes;
      for (int lane = 0; lane < kLanes; ++lane) lanes.push_back(lane / 2);
      for (int d = 0; d < r_.rot_dim; d += kLanes) {
        const int count = std::min<int>(kLanes, 2 * half_ - d);
        parts_.push_back({Turn::within, d, count, spread(at(cos, d / 2), count / 2, lanes),
                          spread(at(sin, d / 2), count / 2, lanes)});
      }
    } else {
      for (int i = 0; i < half_; i += kLanes) {
        const int count = std::min(kLanes, half_ - i);
        parts_.push_back(
            {Turn::runs, i, count, read_floats(at(cos, i), count), read_floats(at(sin, i), count)});
      }
    }
    for (int d = 2 * half_; d < dim_; d += kLanes)
      parts_.push_back({Turn::stays, d, std::min(kLanes, dim_ - d)});
  }
  // Numbers that products of bf16 are made of, which are rounded.
  llvm::Value* read_floats(llvm::Value* from, int count) {
    llvm::Value* const read = load_first(f32_, from, count, lanes_for(count));
    return is_bf16_ ? with_plain_nan(read) : read;
  }
  llvm::Value* spread(llvm::Value* from, int count, const std::vector<int>& lanes) {
    return ir_.CreateShuffleVector(read_floats(from, count), lanes);
  }
  // Of an element of a small head; of one that does not turn any.
  int angle_of(int d) const {
    if (d >= 2 * half_) return 0;
    return r_.interleaved ? d / 2 : d % half_;
  }
  bool is_first_of_pair(int d) const { return d < 2 * half_ && (r_.interleaved ? d % 2 == 0 : d < half_); }
  int partner_of(int d) const {
    if (d >= 2 * half_) return d;
    if (r_.interleaved) return d ^ 1;
    return d < half_ ? d + half_ : d - half_;
  }

  // ---- norm: a weight for each 16 columns, from the column where a part begins
  using Norm = std::vector<std::pair<int, llvm::Value*>>;
  Norm read_norm(llvm::Value* weights) {
    Norm norm;
    const auto add = [&](int first, int count) {
      norm.push_back({first, read_floats(at(weights, first), count)});
    };
    const bool runs = !are_small() && !r_.interleaved;
    const int turning = are_small() ? dim_ : 2 * half_;
    for (int begin = 0; begin < turning; begin += runs ? half_ : turning)
      for (int d = begin, end = begin + (runs ? half_ : turning); d < end; d += kLanes)
        add(d, std::min(kLanes, end - d));
    for (int d = turning; d < dim_; d += kLanes) add(d, std::min(kLanes, dim_ - d));
    return norm;
  }
  // Of what was computed, which is no denormal. The level's own instruction, which takes 16 lanes, is faster here.
  bool in_steps(const llvm::Value* value) const { return lanes_in(value) < kLanes; }
  llvm::Value* to_bf16(llvm::Value* value) { return rounded(value, in_steps(value)); }
  llvm::Value* rounded_as_stored(llvm::Value* value) { return is_bf16_ ? to_bf16(value) : value; }
  // 1 / sqrt(mean of squares + eps), as norm_inl.h has it.
  llvm::Value* scale_of(llvm::Value* head) {
    llvm::Value* squares = zeros();
    for (int d = 0; d < dim_; d += kLanes) {
      const int count = std::min(kLanes, dim_ - d);
      llvm::Value* x = load_first(element_, element_at(head, number(d)), count, kLanes);
      if (is_bf16_) x = widened(x);
      squares = intrinsic(llvm::Intrinsic::fma, {x, x, squares});
    }
    for (int lanes = kLanes / 2; lanes > 1; lanes /= 2)
      squares = ir_.CreateFAdd(lanes_of(squares, 0, lanes), lanes_of(squares, lanes, lanes));
    llvm::Value* const sum = ir_.CreateFAdd(ir_.CreateExtractElement(squares, uint64_t{0}),
                                            ir_.CreateExtractElement(squares, uint64_t{1}));
    const auto of_number = [&](float number) { return constant(std::bit_cast<uint32_t>(number), nullptr); };
    llvm::Value* const mean = ir_.CreateFDiv(sum, of_number(static_cast<float>(dim_)));
    llvm::Value* const root = intrinsic(llvm::Intrinsic::sqrt, {ir_.CreateFAdd(mean, of_number(r_.eps))});
    return ir_.CreateFDiv(of_number(1.0f), root);
  }

  // ---- rotation
  // `count` heads of a vector, or one head.
  std::vector<Piece> turned(llvm::Value* head, const Norm& norm, int count) {
    std::vector<Piece> pieces;
    llvm::Value* const scale = norm.empty() ? nullptr : scale_of(head);
    for (Part part : parts_) {
      if (are_small()) part.count = count * dim_;
      const int lanes = lanes_for(part.count);
      const auto read = [&](int first) {
        return load_first(element_, element_at(head, number(first)), part.count, lanes);
      };
      const auto normed = [&](llvm::Value* raw, int first) {
        llvm::Value* const x = is_bf16_ ? widened(raw) : raw;
        if (norm.empty()) return x;
        const auto weight = std::ranges::find(norm, first, &Norm::value_type::first);
        return rounded_as_stored(
            ir_.CreateFMul(rounded_as_stored(ir_.CreateFMul(x, splat(scale, lanes))), weight->second));
      };
      const auto add = [&](int first, llvm::Value* value) { pieces.push_back({first, part.count, value}); };
      llvm::Value* const raw = read(part.first);
      llvm::Value* const x = normed(raw, part.first);
      // As it was, or as the norm left it, which is rounded already.
      const auto as_it_is = [&] { return norm.empty() ? raw : is_bf16_ ? upper_halves(bits(x)) : x; };
      if (part.turn == Turn::stays) {
        add(part.first, as_it_is());
      } else if (part.turn == Turn::runs) {
        llvm::Value* const other = normed(read(part.first + half_), part.first + half_);
        llvm::Value* const flipped =
            fault_is_on(Fault::emit_rotary_exchanges_pair, 0) ? other : negate(of(other)).value;
        add(part.first, stored(turn(x, flipped, part.cos, part.sin)));
        add(part.first + half_, stored(turn(other, x, part.cos, part.sin)));
      } else {
        add(part.first, within(part, lanes, x, as_it_is()));
      }
    }
    return pieces;
  }
  // The lanes' partners are in the vector as well.
  llvm::Value* within(const Part& part, int lanes, llvm::Value* x, llvm::Value* as_it_is) {
    std::vector<int> partners, turning;
    bool all_turn = true;
    for (int lane = 0; lane < lanes; ++lane) {
      // Of a large head only lanes that turn are here.
      const int d = are_small() ? lane % dim_ : lane;
      const int partner = are_small() ? lane - d + partner_of(d) : d ^ 1;
      const bool turns = !are_small() || d < 2 * half_;
      partners.push_back(partner < lanes ? partner : -1);
      turning.push_back(turns ? lane : lanes + lane);
      all_turn = all_turn && turns;
    }
    llvm::Value* partner = ir_.CreateShuffleVector(x, partners);
    if (!fault_is_on(Fault::emit_rotary_exchanges_pair, 0))
      partner = floats(ir_.CreateXor(bits(partner), first_of(flips_, lanes)));
    llvm::Value* const y = stored(turn(x, partner, first_of(part.cos, lanes), first_of(part.sin, lanes)));
    return all_turn ? y : ir_.CreateShuffleVector(y, as_it_is, turning);
  }
  llvm::Value* first_of(llvm::Value* vector, int lanes) {
    return lanes == lanes_in(vector) ? vector : lanes_of(vector, 0, lanes);
  }
  llvm::Value* turn(llvm::Value* x, llvm::Value* partner, llvm::Value* cos, llvm::Value* sin) {
    llvm::Value* own = ir_.CreateFMul(x, cos);
    llvm::Value* others = ir_.CreateFMul(partner, sin);
    if (r_.round_products) {
      own = to_bf16(own);
      others = to_bf16(others);
    }
    return ir_.CreateFAdd(own, others);
  }
  llvm::Value* stored(llvm::Value* value) {
    return is_bf16_ ? upper_halves(rounded_bits(value, in_steps(value))) : value;
  }

  // ---- the cache
  llvm::Value* words_of_head(llvm::Value* head) {
    return ir_.CreateAdd(first_word_, ir_.CreateMul(head, number(head_words_ * r_.block_size)));
  }
  void fetch_key(llvm::Value* head) {
    llvm::Value* const to = at(keys_, ir_.CreateAdd(words_of_head(head), offset_));
    for (int word = 0; word < head_words_; ++word) fetch(at(to, word * r_.block_size), true, 3);
  }

  // Of `count` heads, from `head` on: each word to its own cache line.
  void write_keys(const std::vector<Piece>& pieces, llvm::Value* head, int count) {
    std::vector<std::pair<llvm::Value*, int>> elements(static_cast<size_t>(count) *
                                                       static_cast<size_t>(dim_));  // vector, lane
    for (const Piece& piece : pieces) {
      auto* const of_piece = &elements[static_cast<size_t>(piece.first)];
      for (int lane = 0; lane < piece.count; ++lane) of_piece[lane] = {piece.value, lane};
    }
    llvm::Value* const to = at(keys_, ir_.CreateAdd(words_of_head(head), offset_));
    for (int i = 0; i < count; ++i)
      for (int word = 0; word < head_words_; ++word) {
        if (word == head_words_ - 1 && fault_is_on(Fault::emit_rotary_misses_slot, 0)) continue;
        const int d = word * per_word_;
        const auto* const of_word =
            &elements[static_cast<size_t>(i) * static_cast<size_t>(dim_) + static_cast<size_t>(d)];
        ir_.CreateAlignedStore(word_of(of_word, std::min(per_word_, dim_ - d)),
                               at(to, (i * head_words_ + word) * r_.block_size), llvm::Align(4));
      }
  }
  // One f32; or two bf16, or one beside 0.
  llvm::Value* word_of(const std::pair<llvm::Value*, int>* elements, int count) {
    const auto [vector, lane] = elements[0];
    if (!is_bf16_) return ir_.CreateExtractElement(vector, static_cast<uint64_t>(lane));
    if (count == 2 && lane % 2 == 0 && elements[1].first == vector) {
      auto* const words =
          llvm::FixedVectorType::get(ir_.getInt32Ty(), static_cast<unsigned>(lanes_in(vector) / 2));
      return ir_.CreateExtractElement(ir_.CreateBitCast(vector, words), static_cast<uint64_t>(lane / 2));
    }
    const auto element = [&](int i) {
      return ir_.CreateZExt(
          ir_.CreateExtractElement(elements[i].first, static_cast<uint64_t>(elements[i].second)),
          ir_.getInt32Ty());
    };
    return count == 1 ? element(0) : ir_.CreateOr(element(0), ir_.CreateShl(element(1), 16));
  }

  // As it is. Of bf16 another worker may be writing the other key's half of each word.
  void write_value(llvm::Value* head) {
    llvm::Value* const from = element_at(v_, ir_.CreateMul(head, number(dim_)));
    llvm::Value* offset = offset_;
    if (fault_is_on(Fault::emit_rotary_misses_slot, 1)) offset = ir_.CreateXor(offset, number(1));
    llvm::Value* const first = words_of_head(head);
    if (!is_bf16_) {
      llvm::Value* const to = at(values_, ir_.CreateAdd(first, ir_.CreateMul(offset, number(dim_))));
      for (int d = 0; d < dim_; d += kLanes) {
        const int count = std::min(kLanes, dim_ - d);
        store_first(load_first(f32_, at(from, d), count, lanes_for(count)), at(to, d), count);
      }
      return;
    }
    llvm::Value* const word =
        ir_.CreateAdd(first, ir_.CreateMul(ir_.CreateLShr(offset, number(1)), number(dim_)));
    llvm::Value* const to = element_at(at(values_, word), ir_.CreateAnd(offset, number(1)));
    if (level_ != Isa::avx2) return write_halves(from, at(values_, word), ir_.CreateAnd(offset, number(1)));
    for (int d = 0; d < dim_; ++d)
      ir_.CreateAlignedStore(ir_.CreateAlignedLoad(element_, element_at(from, number(d)), llvm::Align(2)),
                             element_at(to, number(2 * d)), llvm::Align(2));
  }

  // Elements into one half each of words, 0 the lower; the others are not written.
  void write_halves(llvm::Value* from, llvm::Value* words, llvm::Value* half) {
    llvm::Value* const is_upper = ir_.CreateICmpNE(half, number(0));
    for (int d = 0; d < dim_; d += kLanes) {
      const int count = std::min(kLanes, dim_ - d);
      llvm::Value* const raw =
          bits(widened(load_first(element_, element_at(from, number(d)), count, kLanes)));
      llvm::Value* const value =
          ir_.CreateSelect(is_upper, raw, ir_.CreateLShr(raw, llvm::ConstantInt::get(raw->getType(), 16)));
      const auto ours = [&](int of_word) {
        std::vector<llvm::Constant*> lanes;
        for (int lane = 0; lane < 2 * kLanes; ++lane)
          lanes.push_back(ir_.getInt1(lane % 2 == of_word && lane / 2 < count));
        return llvm::ConstantVector::get(lanes);
      };
      ir_.CreateMaskedStore(ir_.CreateBitCast(value, llvm::FixedVectorType::get(element_, 2 * kLanes)),
                            at(words, d), llvm::Align(2), ir_.CreateSelect(is_upper, ours(1), ours(0)));
    }
  }

  // ---- heads
  // Calls body(i) for `count` of something: written out where they are few.
  template <typename Body>
  void each(int64_t count, int64_t most_unrolled, Body body) {
    for (int64_t i = 0; count <= most_unrolled && i < count; ++i) body(number(i));
    if (count <= most_unrolled) return;
    loop(number(0), number(count), 1, {}, [&](llvm::Value* i, const Values&) {
      body(i);
      return Values{};
    });
  }
  // Calls body(first head, heads) for heads that lie in a vector, or one by one.
  template <typename Body>
  void each_vector(int64_t heads, Body body) {
    const int in_vector = heads_in_vector_;
    const int64_t whole = heads / in_vector;
    each(whole, are_small() ? kMostUnrolled : 1,
         [&](llvm::Value* i) { body(ir_.CreateMul(i, number(in_vector)), in_vector); });
    if (const auto left = static_cast<int>(heads - whole * in_vector); left > 0)
      body(number(whole * in_vector), left);
  }

  const loop::RotaryKvWrite r_;
  llvm::Type* const element_;
  const bool is_bf16_;
  const int half_, dim_, heads_in_vector_, per_word_, head_words_;
  llvm::Value *q_base_ = nullptr, *k_base_ = nullptr, *v_base_ = nullptr, *y_base_ = nullptr;
  llvm::Value *cos_base_ = nullptr, *sin_base_ = nullptr, *positions_ = nullptr, *slots_ = nullptr;
  llvm::Value *keys_ = nullptr, *values_ = nullptr, *tokens_ = nullptr, *flips_ = nullptr;
  Norm q_norm_, k_norm_;
  // Of the item: its first kv head, its rows, its slot, the key's place in the block, the block's first word for head_.
  llvm::Value *head_ = nullptr, *q_ = nullptr, *k_ = nullptr, *v_ = nullptr, *y_ = nullptr;
  llvm::Value *is_real_ = nullptr, *slot_ = nullptr, *offset_ = nullptr, *first_word_ = nullptr;
  std::vector<Part> parts_;
};

}  // namespace

std::unique_ptr<llvm::Module> emit_rotary(std::string_view program, const EmitOptions& options,
                                          llvm::LLVMContext& context) {
  return RotaryEmitter(loop::parse_rotary_kv_write(program), options, context).run();
}

}  // namespace reprise::codegen
