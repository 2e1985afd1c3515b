// Any bytes as a GGUF file: an Error, or tensors, a vocabulary and a configuration that can all be read.
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <span>

#include "core/error.h"
#include "weights/gguf_checkpoint.h"
#include "weights/gguf_vocab.h"
#include "weights/model_config.h"

namespace {

template <typename Action>
void attempt(Action&& action) {
  try {
    action();
  } catch (const reprise::Error&) {
  }
}

// The checkpoint class wants a file: one in memory where the system has that.
std::filesystem::path write_input(const uint8_t* data, size_t size) {
  static const std::filesystem::path path = [] {
    std::string name =
        (std::filesystem::exists("/dev/shm") ? "/dev/shm" : "/tmp") + std::string("/reprise-fuzz-XXXXXX");
    if (const int file = ::mkstemp(name.data()); file < 0) std::abort();
    return name;
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
