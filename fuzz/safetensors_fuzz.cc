// Any bytes as a safetensors file: an Error or tensors whose every byte can be read.
#include <cstdint>
#include <span>

#include "core/error.h"
#include "weights/dequantize.h"
#include "weights/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace reprise::weights;
  // The 8 bytes of the length are put in front, so that the fuzzer need not find them: the first input byte
  // says how much of the rest is the header.
  if (size == 0) return 0;
  const size_t rest = size - 1;
  const uint64_t header = rest - (data[0] < rest ? data[0] : 0);
  std::vector<std::byte> file(8 + rest);
  for (int i = 0; i < 8; ++i) file[static_cast<size_t>(i)] = static_cast<std::byte>(header >> (8 * i));
  for (size_t i = 0; i < rest; ++i) file[8 + i] = static_cast<std::byte>(data[1 + i]);
  for (const std::span<const std::byte> bytes :
       {std::span<const std::byte>(file), std::as_bytes(std::span(data, size))}) {
    try {
      for (const auto& [name, tensor] : parse_safetensors(bytes, "input")) {
        if (!can_dequantize(tensor.info.type)) continue;
        std::vector<float> values(static_cast<size_t>(tensor.info.elements()));
        dequantize_row(tensor.info.type, tensor.data.data(), values.data(), tensor.info.elements());
      }
    } catch (const reprise::Error&) {
    }
  }
  return 0;
}
