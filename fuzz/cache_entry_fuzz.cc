// Any bytes as a cache entry and as an artefact: an Error, or pairs that are written back as the same bytes, and so are
// their verdicts.
#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "codegen/kernel_file.h"
#include "codegen/verdict.h"
#include "core/error.h"

namespace {

using namespace reprise::codegen;

void read(KernelFileKind kind, std::span<const std::byte> bytes) {
  try {
    const KernelFile file = parse_kernel_file(kind, bytes);
    const std::vector<std::byte> again = kernel_file_bytes(kind, file.about, file.pairs);
    if (!std::ranges::equal(again, bytes)) __builtin_trap();
    for (const KernelPair& pair : file.pairs) {
      if (file.find(pair.key) != &pair) __builtin_trap();
      if (!pair.note.empty() && print(parse_verdict(pair.note)) != pair.note) __builtin_trap();
    }
  } catch (const reprise::Error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const std::byte> bytes = std::as_bytes(std::span(data, size));
  std::vector<std::byte> sealed(bytes.begin(), bytes.end());
  for (uint64_t i = 0, checksum = kernel_file_checksum(bytes); i < sizeof checksum; ++i)
    sealed.push_back(static_cast<std::byte>(checksum >> (8 * i)));
  for (const KernelFileKind kind : {KernelFileKind::cache_entry, KernelFileKind::artefact}) {
    read(kind, bytes);
    // With a checksum that is right, which the fuzzer would hardly find.
    read(kind, sealed);
  }
  return 0;
}
