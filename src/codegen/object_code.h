// Machine code from outside (a cache entry, an artefact, the compiler process) as functions to call: a loader
// for relocatable x86-64 ELF objects that stand on their own.
//
// The bytes are not trusted as a format: every offset, size, index and relocation is checked before it is
// used, so that no object makes the loader itself read or write out of bounds. They are trusted as code:
// whoever calls a function runs what is in it, so the caller checks where the bytes come from (key, checksum,
// owner of the file).
//
// An object that is accepted has code and constants only. It refers to nothing but itself, by addresses
// relative to the program counter, so it can be put anywhere by adding up a few numbers. Everything else is
// an Error that names the section, symbol or relocation: writable data, thread-local storage, symbols from
// outside, absolute addresses. Unwind tables are left out; no exception may pass through this code.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "codegen/debugger.h"
#include "core/seeded_hash.h"

namespace reprise::codegen {

inline constexpr size_t kMostObjectBytes = size_t{64} << 20;  // of the file, and of the image

// What check_object() read: where each part of an object goes in an image, which is the code, then the
// constants from a new page on.
struct ObjectLayout {
  struct Section {
    size_t file_offset = 0;
    size_t bytes = 0;
    size_t image_offset = 0;
    bool zeros = false;  // takes no room in the file
  };
  struct Patch {
    size_t image_offset = 0;
    int32_t value = 0;
  };
  struct Function {
    size_t image_offset = 0;
    size_t bytes = 0;  // 0: the object does not say
  };
  std::vector<Section> sections;
  std::vector<Patch> patches;     // final values: distances do not depend on where the image lies
  SeededMap<Function> functions;  // global ones
  size_t code_bytes = 0;          // a multiple of the page
  size_t image_bytes = 0;         // the same
};

// Reads and checks a whole object. Pure: maps and runs nothing. Throws Error.
ObjectLayout check_object(std::span<const std::byte> elf);

// Writes the image; `image` has layout.image_bytes. Whatever is between the sections of the code is a trap
// (int3).
void write_image(const ObjectLayout& layout, std::span<const std::byte> elf, std::span<std::byte> image);

// An object in memory: its code can be read and run, its constants read, nothing written. Unmapped with the
// object, when none of its functions may run any more. Thread contract: const members from any thread.
class ObjectCode {
 public:
  // Throws Error: an object that check_object() refuses, or a system that gives no memory or forbids code
  // made at run time.
  static ObjectCode load(std::span<const std::byte> elf);

  ObjectCode(ObjectCode&& other) noexcept;
  ObjectCode& operator=(ObjectCode&& other) noexcept;
  ~ObjectCode();

  // A global function of the object. Throws Error when there is none of this name.
  void* function(std::string_view name) const;
  // Memory that it takes, in whole pages.
  size_t bytes() const { return bytes_; }
  // Makes `perf report` show the functions as "NAME:FUNCTION", by /tmp/perf-PID.map. Does nothing where that
  // file can't be written or is not this user's.
  void note_for_perf(std::string_view name) const;
  // Makes gdb show each function as NAME, with _ for its dots, as long as the object is loaded.
  void note_for_gdb(std::string_view name);

 private:
  ObjectCode() = default;

  std::byte* image_ = nullptr;
  size_t bytes_ = 0;
  SeededMap<ObjectLayout::Function> functions_;
  std::unique_ptr<DebuggerEntry> debugger_;
};

}  // namespace reprise::codegen
