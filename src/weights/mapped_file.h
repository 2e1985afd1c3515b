// A file mapped read-only. Checkpoints are not copied into memory: pages are released as soon as they are
// packed, so that loading needs the memory of one model, not two.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "weights/shrink_guard.h"

namespace reprise::weights {

// Immutable after construction: safe from any number of threads. A file that shrinks while it is mapped reads
// as zeros where it was cut (shrink_guard.h): call check() after reading and before using the data.
class MappedFile {
 public:
  // Throws Error when `path` is missing, unreadable or not a regular file. An empty file maps to an empty
  // span.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }

  // Throws Error when the file is shorter than it was, or pages were lost: what was read may be zeros.
  void check() const;

  // Tells the system that the pages under `range` are not needed now: they leave this process's resident
  // memory and come back from the page cache when read again. `range` must lie inside bytes().
  void release(std::span<const std::byte> range) const;

 private:
  struct Descriptor {
    int fd;
    ~Descriptor();
  };

  std::string path_;
  Descriptor file_;
  std::unique_ptr<ShrinkGuard> guard_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace reprise::weights
