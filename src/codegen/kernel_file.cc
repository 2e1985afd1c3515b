#include "codegen/kernel_file.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "core/error.h"
#include "core/seeded_hash.h"

namespace reprise::codegen {
namespace {

constexpr uint32_t kVersion = 2;
constexpr size_t kMagicBytes = 8;
constexpr size_t kHeadBytes = kMagicBytes + 4 + 4 + 8;
constexpr size_t kLengthsBytes = 8 + 8 + 8;  // of one pair
constexpr size_t kChecksumBytes = 8;
constexpr size_t kAlignment = 16;

// Fixed for ever: stored files depend on them. First digits of pi and of e.
constexpr HashKey kChecksumKey{.first = 0x243f6a8885a308d3, .second = 0x13198a2e03707344};
constexpr HashKey kNameKeys[] = {{.first = 0xb7e151628aed2a6a, .second = 0xbf7158809cf4f3c7},
                                 {.first = 0x62e7160f38b4da56, .second = 0xa784d9045190cfef}};

std::string_view magic_of(KernelFileKind kind) {
  return kind == KernelFileKind::cache_entry ? "rprs-krn" : "rprs-art";
}

size_t padding_after(size_t bytes) {
  return (kAlignment - bytes % kAlignment) % kAlignment;
}

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class FileWriter {
 public:
  explicit FileWriter(size_t bytes) { bytes_.reserve(bytes); }

  template <typename T>
  requires std::is_integral_v<T>
  void number(T value) {
    for (size_t i = 0; i < sizeof(T); ++i) bytes_.push_back(static_cast<std::byte>(value >> (8 * i)));
  }
  void data(std::span<const std::byte> data) { bytes_.insert(bytes_.end(), data.begin(), data.end()); }
  void text(std::string_view text) { data(std::as_bytes(std::span(text))); }
  void align() { bytes_.resize(bytes_.size() + padding_after(bytes_.size())); }
  std::vector<std::byte> finish() {
    number(kernel_file_checksum(bytes_));
    return std::move(bytes_);
  }

 private:
  std::vector<std::byte> bytes_;
};

// Takes bytes from the front; throws where they are not there.
class FileReader {
 public:
  explicit FileReader(std::span<const std::byte> bytes) : all_(bytes.size()), rest_(bytes) {}

  size_t left() const { return rest_.size(); }
  void require(uint64_t bytes) const {
    if (bytes > rest_.size())
      throw Error("is cut or damaged: its lengths add up to more than its {} bytes", all_);
  }
  std::span<const std::byte> data(uint64_t bytes) {
    require(bytes);
    const std::span<const std::byte> taken = rest_.first(bytes);
    rest_ = rest_.subspan(bytes);
    return taken;
  }
  template <typename T>
  T number() {
    T value = 0;
    const std::span<const std::byte> taken = data(sizeof(T));
    for (size_t i = 0; i < sizeof(T); ++i) value |= static_cast<T>(taken[i]) << (8 * i);
    return value;
  }
  void align() {
    for (const std::byte byte : data(padding_after(all_ - rest_.size())))
      if (byte != std::byte{0}) throw Error("is damaged: there are bytes between a note and its payload");
  }

 private:
  size_t all_;
  std::span<const std::byte> rest_;
};

struct PairLengths {
  uint64_t key, note, payload;
};

}  // namespace

const KernelPair* KernelFile::find(std::string_view key) const {
  const auto at = std::ranges::lower_bound(pairs, key, {}, &KernelPair::key);
  return at != pairs.end() && at->key == key ? &*at : nullptr;
}

std::vector<std::byte> kernel_file_bytes(KernelFileKind kind, std::string_view about,
                                         std::vector<KernelPair> pairs) {
  std::ranges::sort(pairs, {}, &KernelPair::key);
  size_t bytes = kHeadBytes + about.size() + kChecksumBytes;
  for (const KernelPair& pair : pairs)
    bytes += kLengthsBytes + pair.key.size() + pair.note.size() + kAlignment + pair.payload.size();
  FileWriter out(bytes);
  out.text(magic_of(kind));
  out.number(kVersion);
  out.number(static_cast<uint32_t>(pairs.size()));
  out.number(uint64_t{about.size()});
  for (size_t i = 0; i < pairs.size(); ++i) {
    REPRISE_CHECK(i == 0 || pairs[i - 1].key != pairs[i].key, "a key of a kernel file is given twice: {}",
                  pairs[i].key);
    REPRISE_CHECK(pairs[i].note.size() <= kMostNoteBytes, "a note of a kernel file has {} bytes",
                  pairs[i].note.size());
    out.number(uint64_t{pairs[i].key.size()});
    out.number(uint64_t{pairs[i].note.size()});
    out.number(uint64_t{pairs[i].payload.size()});
  }
  out.text(about);
  for (const KernelPair& pair : pairs) {
    out.text(pair.key);
    out.text(pair.note);
    out.align();
    out.data(pair.payload);
  }
  return out.finish();
}

KernelFile parse_kernel_file(KernelFileKind kind, std::span<const std::byte> bytes) {
  const std::string_view magic = magic_of(kind);
  if (bytes.empty()) throw Error("is empty");
  if (!magic.starts_with(text_of(bytes.first(std::min(bytes.size(), kMagicBytes)))))
    throw Error("is no file of compiled kernels, or damaged: it does not begin with {}", magic);
  FileReader in(bytes);
  in.data(kMagicBytes);
  const auto version = in.number<uint32_t>();
  if (version != kVersion) throw Error("has format {}, and this build reads format {}", version, kVersion);
  const auto count = in.number<uint32_t>();
  const auto about_bytes = in.number<uint64_t>();
  in.require(uint64_t{count} * kLengthsBytes);  // before memory is taken for them
  std::vector<PairLengths> lengths(count);
  for (PairLengths& pair : lengths) {
    pair.key = in.number<uint64_t>();
    pair.note = in.number<uint64_t>();
    pair.payload = in.number<uint64_t>();
    if (pair.note > kMostNoteBytes)
      throw Error("is damaged: a note of {} bytes is above the limit of {}", pair.note, kMostNoteBytes);
  }
  KernelFile file{.about = text_of(in.data(about_bytes)), .pairs = {}};
  file.pairs.reserve(count);
  for (const PairLengths& pair : lengths) {
    const std::string_view key = text_of(in.data(pair.key));
    const std::string_view note = text_of(in.data(pair.note));
    in.align();
    if (!file.pairs.empty() && file.pairs.back().key >= key)
      throw Error("is damaged: its keys do not ascend");
    file.pairs.push_back({.key = key, .payload = in.data(pair.payload), .note = note});
  }
  if (in.left() != kChecksumBytes)
    throw Error("is cut or damaged: {} bytes follow its payloads, expected {}", in.left(), kChecksumBytes);
  if (in.number<uint64_t>() != kernel_file_checksum(bytes.first(bytes.size() - kChecksumBytes)))
    throw Error("is damaged: its checksum is another one");
  return file;
}

uint64_t kernel_file_checksum(std::span<const std::byte> before) {
  return siphash_1_3(text_of(before), kChecksumKey);
}

std::string stored_name(std::string_view text) {
  return fmt::format("{:016x}{:016x}", siphash_1_3(text, kNameKeys[0]), siphash_1_3(text, kNameKeys[1]));
}

}  // namespace reprise::codegen
