// Any text as a loop program: an Error, or a program whose printed form is read back as itself.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/error.h"
#include "loop/text.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace reprise::loop;
  std::string printed;
  try {
    printed = print(parse({reinterpret_cast<const char*>(data), size}));
  } catch (const reprise::Error&) {
    return 0;
  }
  REPRISE_CHECK(print(parse(printed)) == printed, "a printed program changes when it is read back");
  return 0;
}
