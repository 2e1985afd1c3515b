#include "codegen/llvm/product_code.h"

#include <llvm/IR/IntrinsicsX86.h>

#include <algorithm>
#include <cstddef>
#include <utility>

#include "core/fault.h"
#include "core/launch.h"

namespace reprise::codegen {
namespace {

using loop::Matmul;
using loop::MatmulTask;

// Rows of a group, whose sums of a panel fit the registers: of 16 lanes an avx2 register has 8.
int most_rows(Isa level) {
  return level == Isa::avx2 ? 3 : 8;
}
// Up to so many rows several panels are taken at a time, or else there are too few chains.
int few_rows(Isa level) {
  return level == Isa::avx2 ? 1 : 2;
}
int panels_at_a_time(Isa level, int rows) {
  return (level == Isa::avx2 ? 2 : 4) / rows;
}

// A panel that stays in the L1 cache while all groups of rows are multiplied by it.
constexpr int64_t kMostPanelBytes = int64_t{24} << 10;

}  // namespace

ProductCode::Layout ProductCode::layout_of(const Matmul& m) {
  if (m.dtype == DType::f32)
    return {.links = m.k,
            .block_links = m.k,
            .block_words = m.k * Matmul::kPanel,
            .link_words = Matmul::kPanel,
            .half_words = kLanes,
            .panel_words = m.k * Matmul::kPanel};
  return {.links = m.k / 2,
          .block_links = 16,
          .block_words = 512,
          .link_words = kLanes,
          .half_words = 256,
          .panel_words = (m.k + 31) / 32 * 512};
}

void ProductCode::write_products(const Matmul& matmul, bool far, llvm::Value* task, llvm::Value* first,
                                 llvm::Value* last) {
  matmul_ = &matmul;
  far_ = far;
  layout_ = layout_of(matmul);
  llvm::Value* const buffers = field(offsetof(KernelContext, buffers));
  x_ = buffer(buffers, 0);
  weights_ = buffer(buffers, 1);
  bias_ = buffer(buffers, 2);
  out_ = buffer(buffers, 3);
  const auto place = [&](size_t offset) {
    return ir_.CreateConstInBoundsGEP1_64(ir_.getInt8Ty(), task, offset);
  };
  const auto read = [&](size_t offset) {
    return ir_.CreateAlignedLoad(ir_.getInt64Ty(), place(offset), llvm::Align(8));
  };
  columns_ = read(offsetof(MatmulTask, columns));
  rows_ = read(offsetof(MatmulTask, rows));
  const auto write = [&] {
    ir_.CreateAlignedStore(number(1), place(offsetof(MatmulTask, done)), llvm::Align(8));
    llvm::Value* const whole = smaller(last, ir_.CreateUDiv(columns_, number(Matmul::kPanel)));
    const int few = few_rows(level_);
    for (int rows = 1; rows <= few && !far_; ++rows)
      when(ir_.CreateICmpEQ(rows_, number(rows)), {}, [&] { return panels(rows, first, whole); });
    when(ir_.CreateICmpSGT(rows_, number(few)), {}, [&] {
      return loop(first, whole, 1, {},
                  [&](llvm::Value* panel, const Values&) { return groups(panel, 2, false); });
    });
    if (last_halves() > 0)
      when(ir_.CreateICmpSLT(whole, last), {}, [&] { return groups(whole, last_halves(), true); });
    return Values{};
  };
  llvm::Value* const least = number(far_ ? few_rows(level_) + 1 : 1);
  llvm::Value* has_code = ir_.CreateICmpSGE(rows_, least);
  if (layout_.panel_words * 4 > kMostPanelBytes)
    has_code = ir_.CreateAnd(has_code, ir_.CreateICmpSLE(rows_, number(most_rows(level_))));
  when(has_code, {}, write);
}

// Of the panels that are not whole: the vectors of 16 columns that any of them has; 0: all are whole.
int ProductCode::last_halves() const {
  int64_t most = 0;
  for (const Matmul::Segment& segment : matmul_->segments) most = std::max(most, segment.n % Matmul::kPanel);
  return static_cast<int>((most + kLanes - 1) / kLanes);
}

// Few rows, by several whole panels at a time.
ProductCode::Values ProductCode::panels(int rows, llvm::Value* first, llvm::Value* last) {
  for (int count = panels_at_a_time(level_, rows); count > 0; count /= 2) {
    llvm::Value* const left = ir_.CreateURem(ir_.CreateSub(last, first), number(count));
    llvm::Value* const end = ir_.CreateSub(last, left);
    loop(first, end, count, {}, [&](llvm::Value* panel, const Values&) {
      products({rows, count, 2, false}, panel, number(0));
      return Values{};
    });
    first = end;
  }
  return {};
}

// One panel, for all rows in groups of about the same size.
ProductCode::Values ProductCode::groups(llvm::Value* panel, int halves, bool masked) {
  const int most = most_rows(level_);
  llvm::Value* const count = ir_.CreateUDiv(ir_.CreateAdd(rows_, number(most - 1)), number(most));
  llvm::Value* const size = ir_.CreateUDiv(rows_, count);
  llvm::Value* const larger_ones = ir_.CreateURem(rows_, count);
  loop(number(0), count, 1, {number(0)}, [&](llvm::Value* group, const Values& row) {
    llvm::Value* const is_larger = ir_.CreateICmpSLT(group, larger_ones);
    llvm::Value* const rows = ir_.CreateAdd(size, ir_.CreateZExt(is_larger, ir_.getInt64Ty()));
    // Few rows come here by a panel that is not whole.
    for (int one = masked && !far_ ? 1 : few_rows(level_) + 1; one <= most; ++one)
      when(ir_.CreateICmpEQ(rows, number(one)), {}, [&] {
        products({one, 1, halves, masked}, panel, row[0]);
        return Values{};
      });
    return Values{ir_.CreateAdd(row[0], rows)};
  });
  return {};
}

void ProductCode::products(const Block& of, llvm::Value* panel, llvm::Value* row) {
  llvm::Value* const weights = words(weights_, ir_.CreateMul(panel, number(layout_.panel_words)));
  llvm::Value* const x = words(x_, ir_.CreateMul(row, number(layout_.links)));
  Values sums(static_cast<size_t>(of.rows * of.panels * of.halves),
              ir_.CreateVectorSplat(kLanes, constant(0, nullptr)));
  const int64_t blocks = layout_.links / layout_.block_links;
  sums = loop(number(0), number(blocks), 1, sums, [&](llvm::Value* at, Values so_far) {
    return block(of, words(x, ir_.CreateMul(at, number(layout_.block_links))),
                 words(weights, ir_.CreateMul(at, number(layout_.block_words))), layout_.block_links,
                 std::move(so_far));
  });
  if (const int64_t rest = layout_.links % layout_.block_links; rest > 0)
    sums = block(of, words(x, number(blocks * layout_.block_links)),
                 words(weights, number(blocks * layout_.block_words)), rest, std::move(sums));
  for (int p = 0; p < of.panels; ++p) {
    const auto begin = sums.begin() + static_cast<std::ptrdiff_t>(p) * of.halves * of.rows;
    store_panel(of, ir_.CreateMul(ir_.CreateAdd(panel, number(p)), number(Matmul::kPanel)), row,
                Values(begin, begin + static_cast<std::ptrdiff_t>(of.halves) * of.rows));
  }
}

ProductCode::Values ProductCode::block(const Block& of, llvm::Value* x, llvm::Value* weights,
                                       int64_t of_block, Values sums) {
  if (fault_is_on(Fault::emit_product_misses_last, 0)) --of_block;
  const int64_t step = of.rows * of.panels <= 4 ? 4 : 2, whole = of_block / step * step;
  if (whole > 0)
    sums = loop(number(0), number(whole), step, sums, [&](llvm::Value* at, Values so_far) {
      return links(of, x, weights, at, step, std::move(so_far));
    });
  return links(of, x, weights, number(whole), of_block - whole, std::move(sums));
}

ProductCode::Values ProductCode::links(const Block& of, llvm::Value* x, llvm::Value* weights,
                                       llvm::Value* first, int64_t count, Values sums) {
  llvm::Value* const from_x = words(x, first);
  llvm::Value* const from = words(weights, ir_.CreateMul(first, number(layout_.link_words)));
  for (int64_t at = 0; at < count; ++at) {
    Values read;
    for (int r = 0; r < of.rows; ++r)
      read.push_back(ir_.CreateVectorSplat(
          kLanes, ir_.CreateAlignedLoad(f32_, words(from_x, number(r * layout_.links + at)),
                                        llvm::Align(matmul_->dtype == DType::f32 ? 4 : 2))));
    auto sum = sums.begin();
    for (int p = 0; p < of.panels; ++p)
      for (int half = 0; half < of.halves; ++half) {
        const int64_t index = p * layout_.panel_words + at * layout_.link_words + half * layout_.half_words;
        llvm::Value* const weight = ir_.CreateAlignedLoad(lanes_, words(from, number(index)), llvm::Align(4));
        // Behind the last panel there may be nothing: then nothing is fetched.
        if (far_) fetch(words(from, number(index + layout_.panel_words)), false, 2);
        for (int r = 0; r < of.rows; ++r, ++sum) *sum = link(read[static_cast<size_t>(r)], weight, *sum);
      }
  }
  return sums;
}

llvm::Value* ProductCode::link(llvm::Value* x, llvm::Value* weight, llvm::Value* sum) {
  if (matmul_->dtype == DType::f32) {
    return intrinsic(llvm::Intrinsic::fma, {x, weight, sum});
  }
  auto* const pairs = llvm::FixedVectorType::get(ir_.getBFloatTy(), 2 * kLanes);
  return ir_.CreateIntrinsic(lanes_, llvm::Intrinsic::x86_avx512bf16_dpbf16ps_512,
                             {sum, ir_.CreateBitCast(x, pairs), ir_.CreateBitCast(weight, pairs)});
}

// Sums of a panel by half and row, the bias added.
void ProductCode::store_panel(const Block& of, llvm::Value* column, llvm::Value* row, Values sums) {
  Values masks(static_cast<size_t>(of.halves), nullptr);
  if (of.masked) {
    llvm::Value* left = ir_.CreateTrunc(ir_.CreateSub(columns_, column), ir_.getInt32Ty());
    if (fault_is_on(Fault::emit_product_misses_last, 1)) left = ir_.CreateSub(left, ir_.getInt32(1));
    for (int half = 0; half < of.halves; ++half) {
      std::vector<llvm::Constant*> lanes;
      for (int lane = 0; lane < kLanes; ++lane)
        lanes.push_back(ir_.getInt32(static_cast<uint32_t>(half * kLanes + lane)));
      masks[static_cast<size_t>(half)] =
          ir_.CreateICmpSLT(llvm::ConstantVector::get(lanes), ir_.CreateVectorSplat(kLanes, left));
    }
  }
  const auto of_half = [&](auto&& body) {
    for (size_t i = 0; i < sums.size(); ++i) {
      const size_t half = i / static_cast<size_t>(of.rows), r = i % static_cast<size_t>(of.rows);
      body(i, static_cast<int64_t>(r), ir_.CreateAdd(column, number(static_cast<int64_t>(half) * kLanes)),
           masks[half]);
    }
  };
  llvm::Value* const has_bias = ir_.CreateICmpNE(bias_, llvm::Constant::getNullValue(bias_->getType()));
  sums = when(has_bias, sums, [&] {
    Values biased = sums;
    of_half([&](size_t i, int64_t, llvm::Value* at, llvm::Value* mask) {
      llvm::Value* const from = words(bias_, at);
      llvm::Value* const bias =
          mask == nullptr ? static_cast<llvm::Value*>(ir_.CreateAlignedLoad(lanes_, from, llvm::Align(4)))
                          : ir_.CreateMaskedLoad(lanes_, from, llvm::Align(4), mask,
                                                 llvm::Constant::getNullValue(lanes_));
      biased[i] = ir_.CreateFAdd(sums[i], bias);
    });
    return biased;
  });
  of_half([&](size_t i, int64_t r, llvm::Value* at, llvm::Value* mask) {
    store(sums[i], ir_.CreateAdd(ir_.CreateMul(ir_.CreateAdd(row, number(r)), columns_), at), mask);
  });
}

void ProductCode::store(llvm::Value* sum, llvm::Value* index, llvm::Value* mask) {
  llvm::Type* element = f32_;
  llvm::Align align(4);
  if (matmul_->out == DType::bf16) {
    element = ir_.getInt16Ty();
    align = llvm::Align(2);
    if (matmul_->dtype == DType::f32) sum = with_plain_nan(sum);
    llvm::Value* const raw = rounded_bits(sum, true);
    sum = ir_.CreateTrunc(ir_.CreateLShr(raw, llvm::ConstantInt::get(raw->getType(), 16)),
                          llvm::FixedVectorType::get(element, kLanes));
  }
  llvm::Value* const to = ir_.CreateInBoundsGEP(element, out_, index);
  if (mask == nullptr)
    ir_.CreateAlignedStore(sum, to, align);
  else
    ir_.CreateMaskedStore(sum, to, align, mask);
}

}  // namespace reprise::codegen
