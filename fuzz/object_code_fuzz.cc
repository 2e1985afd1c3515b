// Any bytes as an object of machine code: an Error, or an image, which is written and not run.
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "codegen/object_code.h"
#include "fuzz/attempt.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  attempt([&] {
    const std::span<const std::byte> elf = std::as_bytes(std::span(data, size));
    const reprise::codegen::ObjectLayout layout = reprise::codegen::check_object(elf);
    std::vector<std::byte> image(layout.image_bytes);
    reprise::codegen::write_image(layout, elf, image);
  });
  return 0;
}
