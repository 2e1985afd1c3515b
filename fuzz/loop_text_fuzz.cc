// Any text as a loop program: an Error, or a program whose printed form is read back as itself. Or as a matmul with
// programs around it, attention, or a rotation, which are taken as they are printed alone.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/error.h"
#include "loop/attention.h"
#include "loop/matmul.h"
#include "loop/rotary.h"
#include "loop/text.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace reprise::loop;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::string printed;
  try {
    if (is_matmul(text)) {
      parse_matmul(text);
      return 0;
    }
    if (is_attention(text)) {
      parse_attention(text);
      return 0;
    }
    if (is_rotary_kv_write(text)) {
      parse_rotary_kv_write(text);
      return 0;
    }
    printed = print(parse(text));
  } catch (const reprise::Error&) {
    return 0;
  }
  REPRISE_CHECK(print(parse(printed)) == printed, "a printed program changes when it is read back");
  return 0;
}
