#include "kernels/cpu/coded_matmul.h"

#include <algorithm>
#include <array>
#include <utility>

#include "kernels/cpu/matmul.h"
#include "kernels/cpu/matmul_blocks.h"
#include "kernels/cpu/matmul_call.h"
#include "kernels/cpu/pack.h"

namespace reprise::kernels::cpu {
namespace {

using loop::Matmul;

// A worker's memory: rows that are multiplied, beside what another worker writes of them; results; behind them what
// programs and products need while they run. So a small step touches the first huge page alone.
constexpr int64_t kRowsBytes = int64_t{768} << 10;
constexpr int64_t kResultsBytes = int64_t{256} << 10;
constexpr int64_t kWorkBytes =
    static_cast<int64_t>(KernelContext::kScratchBytes) - kRowsBytes - kResultsBytes;
constexpr int64_t kAlignment = 64;  // of each of its pieces
static_assert(Matmul::kMostWritten * (Matmul::kMostK * 4 + kAlignment) <= kRowsBytes);

constexpr int64_t kMostRows = 512;
static_assert(Matmul::kMostSegments * kMostRows * kPanel * 4 <= kResultsBytes);
static_assert(Matmul::kPanel == kPanel && Matmul::kMostSegments == kMaxSegments);

// Of each segment that one row is multiplied by in code.
constexpr int64_t kLeastPanels = 3;

// Rows of a block where something comes before the product: every worker that takes panels of a block computes it.
constexpr int64_t kRowsPerBlock = 128;

int64_t size_in_bytes(DType dtype) {
  return static_cast<int64_t>(size_of(dtype));
}

void set_part(MatmulCode::Part& part, const Matmul::Part& of, int64_t columns_of_row) {
  part.code.program = of.program;
  const loop::Program& program = part.code.program;
  part.items_of_row = columns_of_row / program.columns * program.items_of_row();
  for (size_t i = 0; i < of.buffers.size(); ++i) {
    const loop::Operand& operand = program.operands[i];
    const int64_t element = size_in_bytes(operand.dtype);
    part.places.push_back({.buffer = of.buffers[i],
                           .row = operand.place == loop::Place::row ? columns_of_row * element : 0,
                           .element = element,
                           .written = operand.written});
  }
}

// Some rows of a launch, by one worker.
class Rows {
 public:
  Rows(const KernelContext& context, const MatmulCode& code, int64_t row0, int64_t rows)
      : context_(context),
        rows_memory_(context.scratch),
        code_(code),
        m_(code.matmul),
        generated_(code.generated.load(std::memory_order_acquire)),
        row0_(row0),
        rows_(rows) {
    context_.scratch += kRowsBytes + kResultsBytes;
  }

  // Items [first, stop).
  void run(int64_t first, int64_t stop) {
    if (m_.before) {
      run_before(first == 0);
    } else {
      x_ = context_.buffers[m_.x] + row0_ * m_.k * size_in_bytes(m_.dtype);
    }
    if (!m_.after) return multiply(first, stop);
    const auto segments = static_cast<int64_t>(m_.segments.size());
    const int64_t panel = segments * rows_ * kPanel * size_in_bytes(m_.out);
    for (int64_t at = first; at < stop; at += kResultsBytes / panel)
      run_panels(at, std::min(stop, at + kResultsBytes / panel));
  }

 private:
  // One worker writes what the launch gives of it; for the others it goes to memory of their own.
  void run_before(bool writes) {
    std::byte* memory = rows_memory_;
    const auto take = [&](int64_t bytes) {
      return std::exchange(memory, memory + round_up(bytes, kAlignment));
    };
    std::array<std::byte*, loop::kMaxBuffers> buffers;
    for (size_t i = 0; i < code_.before.places.size(); ++i) {
      const MatmulCode::Place& place = code_.before.places[i];
      if (place.buffer < 0)
        x_ = buffers[i] = take(rows_ * place.row);
      else if (place.written && !writes)
        buffers[i] = take(rows_ * place.row);
      else
        buffers[i] = context_.buffers[place.buffer] + row0_ * place.row;
    }
    run_part(code_.before, buffers.data(), rows_ * code_.before.items_of_row,
             {.part = loop::MatmulTask::kBefore});
  }

  // Results straight to their buffers.
  void multiply(int64_t first, int64_t stop) {
    MatmulCall call = call_of();
    for (size_t i = 0; i < m_.segments.size(); ++i) {
      const Matmul::Segment& segment = m_.segments[i];
      call.segments[i] = {.weights = weights_of(segment),
                          .bias = bias_of(segment),
                          .out = context_.buffers[segment.out] + row0_ * segment.n * size_in_bytes(m_.out),
                          .n = segment.n};
    }
    product(call, first, stop);
  }

  // The panels [first, stop) of every segment, and what is computed of them.
  void run_panels(int64_t first, int64_t stop) {
    const int64_t column = first * kPanel, size = size_in_bytes(m_.out);
    const int64_t columns = std::min(m_.segments[0].n, stop * kPanel) - column;
    std::byte* const results = rows_memory_ + kRowsBytes;
    const int64_t bytes = rows_ * columns * size;  // of a segment
    MatmulCall call = call_of();
    for (size_t i = 0; i < m_.segments.size(); ++i) {
      const Matmul::Segment& segment = m_.segments[i];
      const float* const bias = bias_of(segment);
      call.segments[i] = {.weights = weights_of(segment) + first * code_.panel_bytes,
                          .bias = bias == nullptr ? nullptr : bias + column,
                          .out = results + static_cast<int64_t>(i) * bytes,
                          .n = columns};
    }
    product(call, 0, (stop - first) * call.segment_count);
    std::array<std::byte*, loop::kMaxBuffers> buffers;
    for (size_t i = 0; i < code_.after.places.size(); ++i) {
      const MatmulCode::Place& place = code_.after.places[i];
      buffers[i] = place.buffer < 0
                       ? results + static_cast<int64_t>(i) * bytes
                       : context_.buffers[place.buffer] + row0_ * place.row + column * place.element;
    }
    run_part(code_.after, buffers.data(), rows_, {.part = loop::MatmulTask::kAfter, .columns = columns});
  }

  // Panels [first, stop) of the call.
  void product(const MatmulCall& call, int64_t first, int64_t stop) const {
    // By hand the panels of a row are taken together across segments.
    const bool by_hand =
        call.rows == 1 && call.segment_count > 1 && stop - first < kLeastPanels * call.segment_count;
    if (by_hand || generated_ == nullptr || !code_.has_products || !generated_product(call, first, stop))
      code_.by_hand(call, first, stop);
  }
  // False: there is no code for so many rows, and nothing was done.
  bool generated_product(const MatmulCall& call, int64_t first, int64_t stop) const {
    KernelContext inner = context_;
    loop::MatmulTask task{.part = loop::MatmulTask::kProduct, .columns = 0, .rows = call.rows};
    inner.scalars = &task;
    for (int i = 0; i < call.segment_count && stop > 0; ++i) {
      const MatmulSegment& segment = call.segments[i];
      const int64_t panels = matmul_panels(segment.n);
      if (first < panels) {
        // What is only read is not written to.
        std::byte* const buffers[] = {
            static_cast<std::byte*>(const_cast<void*>(call.x)),
            reinterpret_cast<std::byte*>(const_cast<unsigned char*>(segment.weights)),
            reinterpret_cast<std::byte*>(const_cast<float*>(segment.bias)),
            static_cast<std::byte*>(segment.out)};
        inner.buffers = buffers;
        task.columns = segment.n;
        generated_(inner, std::max<int64_t>(first, 0), std::min(stop, panels));
        if (task.done == 0) return false;
      }
      first -= panels;
      stop -= panels;
    }
    return true;
  }

  MatmulCall call_of() const {
    return {.x = x_,
            .rows = rows_,
            .k = m_.k,
            .bf16_out = m_.out == DType::bf16,
            .segment_count = static_cast<int>(m_.segments.size()),
            .segments = {},
            .scratch = reinterpret_cast<unsigned char*>(context_.scratch),
            .scratch_bytes = kWorkBytes};
  }
  const unsigned char* weights_of(const Matmul::Segment& segment) const {
    return context_.buffer<unsigned char>(segment.weight);
  }
  const float* bias_of(const Matmul::Segment& segment) const {
    return segment.bias < 0 ? nullptr : context_.buffer<float>(segment.bias);
  }

  void run_part(const MatmulCode::Part& part, std::byte* const* buffers, int64_t items,
                const loop::MatmulTask& task) const {
    KernelContext inner = context_;
    inner.buffers = buffers;
    if (generated_ != nullptr) {
      inner.scalars = &task;
      return generated_(inner, 0, items);
    }
    const LoopScalars scalars{.code = &part.code,
                              .columns = task.columns,
                              .tiles = task.columns > 0 ? static_cast<int64_t>(m_.segments.size()) : 0};
    inner.scalars = &scalars;
    code_.interpreter(inner, 0, items);
  }

  KernelContext context_;  // its scratch is what programs and products use
  std::byte* const rows_memory_;
  const MatmulCode& code_;
  const Matmul& m_;
  const KernelFunction generated_;
  const int64_t row0_, rows_;
  const std::byte* x_ = nullptr;
};

}  // namespace

MatmulCode::MatmulCode(loop::Matmul of, Isa isa)
    : matmul(std::move(of)),
      panel_bytes(static_cast<int64_t>(packed_bytes(matmul.dtype, kPanel, matmul.k))),
      most_rows(kMostRows),
      has_products(loop::has_products(matmul, isa)),
      by_hand(matmul_function(isa, matmul.dtype)),
      interpreter(loop_program_kernel(isa, DType::f32).run) {
  if (matmul.before) {
    set_part(before, *matmul.before, matmul.k);
    int64_t row = 0;  // bytes of the worker's memory
    for (const Place& place : before.places) row += place.written ? place.row : 0;
    most_rows = std::clamp<int64_t>((kRowsBytes - Matmul::kMostWritten * kAlignment) / row, 1, kMostRows);
  }
  if (matmul.after) set_part(after, *matmul.after, matmul.after->program.columns);
  for (const Matmul::Segment& segment : matmul.segments)
    items = matmul.after ? matmul_panels(segment.n) : items + matmul_panels(segment.n);
}

void coded_matmul(const KernelContext& context, int64_t begin, int64_t end) {
  const auto& scalars = context.get_scalars<CodedMatmulScalars>();
  const MatmulCode& code = *scalars.code;
  const int64_t rows = scalars.rows.eval(context.sizes);
  if (rows == 0) return;
  for_blocks_of_rows(rows, scalars.rows_per_block, code.items, begin, end,
                     [&](int64_t row0, int64_t row1, int64_t first, int64_t stop) {
                       for (int64_t row = row0; row < row1; row += code.most_rows)
                         Rows(context, code, row, std::min(code.most_rows, row1 - row)).run(first, stop);
                     });
}

LaunchDims cut_coded_matmul(CodedMatmulScalars& scalars, Isa isa, int workers) {
  const MatmulCode& code = *scalars.code;
  LaunchDims dims;
  if (code.matmul.before)
    // A worker's share of a block in one piece, so that what comes before is computed once for it.
    dims = {.items = code.items,
            .grain = divide_up(code.items, workers),
            .rows = scalars.rows,
            .rows_per_block = kRowsPerBlock};
  else
    dims = cut_matmul(code.items, code.matmul.k, scalars.rows, isa, code.matmul.dtype, workers);
  scalars.rows_per_block = rows_per_block_of(dims);
  return dims;
}

}  // namespace reprise::kernels::cpu
