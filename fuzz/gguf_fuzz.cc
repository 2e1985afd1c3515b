// Any bytes as a GGUF file: an Error, or tensors, a vocabulary and a configuration that can all be read.
#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>

#include "core/error.h"
#include "fuzz/attempt.h"
#include "weights/gguf_checkpoint.h"
#include "weights/gguf_vocab.h"
#include "weights/model_config.h"

namespace {

// The checkpoint class wants a file: one in memory, gone with the process.
std::filesystem::path write_input(const uint8_t* data, size_t size) {
  static const std::filesystem::path path = [] {
    const int file = ::memfd_create("gguf", MFD_CLOEXEC);
    if (file < 0) std::abort();
    return "/proc/self/fd/" + std::to_string(file);
  }();
  std::ofstream(path, std::ios::binary | std::ios::trunc)
      .write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
  return path;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace reprise::weights;
  attempt([&] {
    const GgufContents contents = parse_gguf(std::as_bytes(std::span(data, size)), "input");
    attempt([&] { read_gguf_vocab(contents.metadata); });
    for (const auto& [key, value] : contents.metadata.values()) {
      attempt([&] { contents.metadata.integer(key); });
      attempt([&] { contents.metadata.number(key); });
      attempt([&] { contents.metadata.boolean(key); });
      attempt([&] { contents.metadata.string(key); });
      attempt([&] { contents.metadata.strings(key); });
      attempt([&] { contents.metadata.integers(key); });
      attempt([&] { contents.metadata.floats(key); });
    }
    const auto path = write_input(data, size);
    attempt([&] { load_model_config(path); });
    attempt([&] {
      const GgufCheckpoint checkpoint(path);
      for (const std::string& name : checkpoint.names()) attempt([&] { checkpoint.read_f32(name); });
    });
  });
  return 0;
}
