#include "weights/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <system_error>

#include "core/error.h"

namespace reprise::weights {
namespace {

[[noreturn]] void cannot_open(const std::string& path, std::string_view reason) {
  throw Error("cannot open {}: {}", path, reason);
}

}  // namespace

MappedFile::Descriptor::~Descriptor() {
  if (fd >= 0) ::close(fd);
}

MappedFile::MappedFile(const std::filesystem::path& path)
    : path_(path.string()), file_{::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)} {
  struct stat info {};
  if (file_.fd < 0 || ::fstat(file_.fd, &info) != 0)
    cannot_open(path_, std::generic_category().message(errno));
  if (!S_ISREG(info.st_mode)) cannot_open(path_, "it is not a regular file");
  size_ = static_cast<size_t>(info.st_size);
  if (size_ == 0) return;
  void* mapping = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file_.fd, 0);
  if (mapping == MAP_FAILED) cannot_open(path_, std::generic_category().message(errno));
  data_ = static_cast<const std::byte*>(mapping);
  try {
    guard_ = std::make_unique<ShrinkGuard>(data_, size_);
  } catch (...) {  // the destructor does not run
    ::munmap(mapping, size_);
    throw;
  }
}

MappedFile::~MappedFile() {
  guard_.reset();
  if (data_) ::munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::check() const {
  struct stat info {};
  const bool shorter = ::fstat(file_.fd, &info) != 0 || static_cast<size_t>(info.st_size) < size_;
  if (shorter || (guard_ && guard_->lost()))
    throw Error(
        "{} was cut or became unreadable while it was read ({} bytes at first); let whoever writes it finish "
        "and load again",
        path_, size_);
}

void MappedFile::release(std::span<const std::byte> range) const {
  if (range.empty()) return;
  REPRISE_CHECK(range.data() >= data_ && range.data() + range.size() <= data_ + size_,
                "released range lies outside the mapping of {}", path_);
  // Rounded outwards to whole pages: the mapping is read-only, so a neighbour that loses a page reads it
  // again.
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const uintptr_t begin = reinterpret_cast<uintptr_t>(range.data()) / page * page;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(range.data()) + range.size() + page - 1) / page * page;
  ::madvise(reinterpret_cast<void*>(begin), end - begin,  // NOLINT(performance-no-int-to-ptr)
            MADV_DONTNEED);                               // advice: a refusal costs only memory
}

}  // namespace reprise::weights
