// A file mapped read-only. Checkpoints are larger than one wants to copy, and the packer drops pages as it
// goes, so that loading peaks at one model, not two.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

namespace reprise::weights {

// Immutable after construction: safe from any number of threads. The file must not shrink while it is mapped
// (the system then raises SIGBUS on access, as with every mapping).
class MappedFile {
 public:
  // Throws Error when `path` is missing, unreadable or not a regular file. An empty file maps to an empty
  // span.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }

  // Tells the system that the pages under `range` are not needed now: they leave this process's resident
  // memory and come back from the page cache when read again. `range` must lie inside bytes().
  void release(std::span<const std::byte> range) const;

 private:
  std::string path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace reprise::weights
