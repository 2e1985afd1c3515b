#include "kernels/cpu/rotary_kv_write.h"

namespace reprise::kernels::cpu {

void coded_rotary_kv_write(const KernelContext& context, int64_t begin, int64_t end) {
  const auto& s = context.get_scalars<RotaryKvWriteScalars>();
  const RotaryKvWriteCode& code = *s.code;
  if (const KernelFunction generated = code.generated.load(std::memory_order_acquire))
    return generated(context, begin, end);
  const int64_t tokens = context.sizes.tokens, parts = s.kv_heads / code.sets, rows = s.heads / parts;
  while (begin < end) {  // part by part
    const int64_t part = begin / tokens, stop = std::min(end, (part + 1) * tokens);
    const int64_t first = begin - part * tokens, last = stop - part * tokens;
    for (int64_t token = first; token < last; ++token) {
      const int64_t row = (token * parts + part) * rows;
      code.by_hand(context, row, row + rows);
    }
    for (int64_t head = part * code.sets; head < (part + 1) * code.sets; ++head) {
      const int64_t of_head = tokens * (s.heads + head);
      code.by_hand(context, of_head + first, of_head + last);
    }
    begin = stop;
  }
}

}  // namespace reprise::kernels::cpu
