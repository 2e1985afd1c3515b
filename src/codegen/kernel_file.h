// The bytes of a file of generated code: a cache entry (one pair of key and payload) or an artefact (many). A
// payload is opaque here, and so is the note beside it.
//
//   magic 8 | version 4 | pairs 4 | bytes of `about` 8
//   for each pair: bytes of key 8, bytes of note 8, bytes of payload 8
//   about | for each pair: key, note, zeros up to a multiple of 16, payload | checksum 8
//
// Integers are little-endian. The checksum is SipHash-1-3, with a fixed key, of everything before it, so any
// damage is found, missed with a chance of 2^-64; it does not protect from whoever may write the file.
// A payload lies at a multiple of 16 from the file's beginning. Keys ascend, so none is there twice.
//
// Everything here may be called from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace reprise::codegen {

enum class KernelFileKind { cache_entry, artefact };

inline constexpr size_t kMostNoteBytes = 4096;

struct KernelPair {
  std::string_view key;
  std::span<const std::byte> payload;
  std::string_view note = {};  // what was found out about the payload; at most kMostNoteBytes
};

// Views of the bytes that were parsed.
struct KernelFile {
  std::string_view about;
  std::vector<KernelPair> pairs;

  // nullptr where there is no such key.
  const KernelPair* find(std::string_view key) const;
};

// `pairs` in any order, with different keys.
std::vector<std::byte> kernel_file_bytes(KernelFileKind kind, std::string_view about,
                                         std::vector<KernelPair> pairs);

// Throws Error, the end of a sentence that begins with the file's name ("is cut or damaged: ..."), on all
// that kernel_file_bytes() does not write. No length is believed before it is compared with the bytes that
// are there.
KernelFile parse_kernel_file(KernelFileKind kind, std::span<const std::byte> bytes);

// What the last 8 bytes hold, of all bytes before them.
uint64_t kernel_file_checksum(std::span<const std::byte> before);

// 128 bits as 32 hexadecimal digits: two SipHash-1-3 with fixed keys. The same in every process, so it can
// name files. Whoever wants two texts with one name can find them: compare the texts.
std::string stored_name(std::string_view text);

}  // namespace reprise::codegen
