// Runs a program's kernel, interpreted or generated, the way a worker does.
#pragma once

#include <algorithm>
#include <memory>
#include <span>
#include <vector>

#include "core/thread_team.h"
#include "kernels/cpu/loop.h"
#include "tests/loop/random_program.h"

namespace reprise::loop {

// Scratch memory of a worker, full of NaN, so that reading what was not written shows.
class Scratch {
 public:
  Scratch() : memory_(KernelContext::kScratchBytes + 64, std::byte{0xff}) {}
  std::byte* begin() { return memory_.data() + (64 - reinterpret_cast<uintptr_t>(memory_.data()) % 64) % 64; }

 private:
  std::vector<std::byte> memory_;
};

// All items of `rows` rows: whole, or cut at random places, the parts in random order.
inline void run_program(KernelFunction run, const kernels::cpu::LoopCode& code,
                        std::span<std::byte* const> buffers, int64_t rows, Scratch& scratch,
                        Choices* cuts = nullptr) {
  const FlushDenormals flush;
  const kernels::cpu::LoopScalars scalars{&code};
  const KernelContext context{
      .sizes = {}, .buffers = buffers.data(), .scalars = &scalars, .scratch = scratch.begin(), .worker = 0};
  const int64_t items = rows * code.program.items_of_row();
  if (cuts == nullptr) return run(context, 0, items);
  std::vector<int64_t> ends = {0, items};
  for (uint32_t i = 0; i < 3; ++i)
    ends.push_back(static_cast<int64_t>(cuts->below(static_cast<uint32_t>(items) + 1)));
  std::sort(ends.begin(), ends.end());
  const bool backwards = cuts->one_in(2);
  const size_t parts = ends.size() - 1;
  for (size_t i = 0; i < parts; ++i) {
    const size_t part = backwards ? parts - 1 - i : i;
    run(context, ends[part], ends[part + 1]);
  }
}

// Lets outputs lie where inputs do, wherever the program allows it.
inline void share_all(const Program& program, Buffers& buffers) {
  std::vector<bool> taken(program.operands.size());
  for (int out = 0; out < program.buffers(); ++out) {
    if (!program.operands[static_cast<size_t>(out)].written) continue;
    for (int in = 0; in < program.buffers(); ++in) {
      if (taken[static_cast<size_t>(in)] || program.operands[static_cast<size_t>(in)].written ||
          !program.may_share(out, in))
        continue;
      buffers.share(out, in);
      taken[static_cast<size_t>(in)] = true;
      break;
    }
  }
}

inline int64_t random_rows(const Program& program, Choices& choices) {
  constexpr int64_t kRows[] = {1, 3, 17, 0};
  const int64_t rows = choices.one_of(kRows);
  return program.columns > 300 ? std::min<int64_t>(rows, 3) : rows;
}

}  // namespace reprise::loop
