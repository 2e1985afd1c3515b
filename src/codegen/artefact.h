// A file with all the kernels of one model, for machines that compile none themselves: pairs of key and
// payload, each with its verdict where it was timed, behind a text that says what they are for (JSON that the
// caller makes and reads: engine version, shape of the model, ISA level).
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "codegen/kernel_file.h"

namespace reprise::codegen {

// Immutable: any thread. The file is read once, so what happens to it later does not matter.
class Artefact {
 public:
  // Throws Error, one line that names the file, on a file that can't be read, is damaged or something else.
  static Artefact open(const std::string& path);
  // The same for bytes that lie in memory; `name` stands for the path.
  static Artefact parse(std::vector<std::byte> bytes, const std::string& name);
  // Writes a whole file, in place of the one that was there; pairs in any order, with different keys. Throws
  // Error that names `flag` where it can't be written; the old file then stays.
  static void write(const std::string& path, const std::string& flag, std::string_view about,
                    const std::vector<KernelPair>& pairs);

  Artefact(Artefact&&) = default;
  Artefact& operator=(Artefact&&) = default;
  Artefact(const Artefact&) = delete;
  Artefact& operator=(const Artefact&) = delete;
  ~Artefact() = default;

  std::string_view about() const { return file_.about; }
  // In the order of the keys. Payloads lie at multiples of 16 bytes, and as long as the artefact.
  std::span<const KernelPair> pairs() const { return file_.pairs; }
  const KernelPair* find(std::string_view key) const { return file_.find(key); }  // null: none

 private:
  Artefact() = default;

  std::vector<std::byte> bytes_;
  KernelFile file_;  // views of bytes_, whose memory stays where it is when moved
};

}  // namespace reprise::codegen
