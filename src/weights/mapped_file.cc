#include "weights/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <system_error>
#include <utility>

#include "core/error.h"

namespace reprise::weights {

MappedFile::MappedFile(const std::filesystem::path& path) : path_(path.string()) {
  const auto fail = [&](int code) {
    throw Error("cannot open {}: {}", path_, std::generic_category().message(code));
  };
  const int fd = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) fail(errno);
  struct stat info {};
  if (::fstat(fd, &info) != 0) {
    const int code = errno;
    ::close(fd);
    fail(code);
  }
  if (!S_ISREG(info.st_mode)) {
    ::close(fd);
    throw Error("cannot open {}: it is not a regular file", path_);
  }
  size_ = static_cast<size_t>(info.st_size);
  if (size_ > 0) {
    void* mapping = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd, 0);
    const int code = errno;
    ::close(fd);
    if (mapping == MAP_FAILED) fail(code);
    data_ = static_cast<const std::byte*>(mapping);
  } else {
    ::close(fd);
  }
}

MappedFile::~MappedFile() {
  if (data_) ::munmap(const_cast<std::byte*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

void MappedFile::release(std::span<const std::byte> range) const {
  if (range.empty()) return;
  REPRISE_CHECK(range.data() >= data_ && range.data() + range.size() <= data_ + size_,
                "released range lies outside the mapping of {}", path_);
  // Rounded outwards to whole pages: the mapping is read-only, so a neighbour that loses a page reads it
  // again.
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const uintptr_t begin = reinterpret_cast<uintptr_t>(range.data()) / page * page;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(range.data()) + range.size() + page - 1) / page * page;
  ::madvise(reinterpret_cast<void*>(begin), end - begin,
            MADV_DONTNEED);  // advice: a refusal costs only memory
}

}  // namespace reprise::weights
