#include "codegen/cache_directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <system_error>
#include <tuple>

#include "codegen/file_bytes.h"
#include "codegen/kernel_file.h"
#include "core/error.h"
#include "core/seeded_hash.h"

namespace reprise::codegen {
namespace {

constexpr std::string_view kEntryEnd = ".kernel";
constexpr std::string_view kPartEnd = ".part";
constexpr size_t kNameDigits = 32;
constexpr size_t kPartDigits = 16;
constexpr int64_t kLeftoverSeconds = 600;  // far longer than writing takes
constexpr mode_t kOwnerOnlyFolder = 0700;
constexpr mode_t kOwnerOnlyFile = 0600;

bool is_hex(std::string_view text) {
  return text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

bool is_entry(std::string_view name) {
  return name.size() == kNameDigits + kEntryEnd.size() && name.ends_with(kEntryEnd) &&
         is_hex(name.substr(0, kNameDigits));
}

// ENTRY.DIGITS.part
bool is_part(std::string_view name) {
  constexpr size_t kEntry = kNameDigits + kEntryEnd.size();
  return name.size() == kEntry + 1 + kPartDigits + kPartEnd.size() && is_entry(name.substr(0, kEntry)) &&
         name[kEntry] == '.' && name.ends_with(kPartEnd) && is_hex(name.substr(kEntry + 1, kPartDigits));
}

// Another one at each call, in this process and in others, those included that share its hash key (a fork) or
// its number (another namespace).
std::string part_name(const std::string& entry) {
  static std::atomic<uint32_t> count{0};
  const uint64_t number = static_cast<uint64_t>(getpid()) << 32 | count.fetch_add(1);
  return fmt::format("{}.{:016x}{}", entry, siphash_1_3(number, process_hash_key()), kPartEnd);
}

// Why the owner of this process must not run what is in there. Empty: nobody else can have written it.
std::string distrust_of(const struct stat& info) {
  if (info.st_uid != geteuid()) return fmt::format("belongs to another user (number {})", info.st_uid);
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0)
    return fmt::format("may be written by others (mode {:o})", info.st_mode & 0777);
  return "";
}

// The directory and those above it. Returns 0 or errno.
int make_folders(const std::string& path) {
  for (size_t end = 0; end != std::string::npos;) {
    end = path.find('/', end + 1);
    if (::mkdir(path.substr(0, end).c_str(), kOwnerOnlyFolder) == 0 || errno == EEXIST) continue;
    // Folders above it that this process may not write, or that lie on a read-only disk, can still be there.
    struct stat info {};
    const int error = errno;
    if (::stat(path.substr(0, end).c_str(), &info) != 0) return error;
  }
  return 0;
}

std::string reason_of(int error) {
  return std::generic_category().message(error);
}

std::string absolute_variable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && value[0] == '/' ? value : "";
}

}  // namespace

CachePlace find_cache_place(const std::string& setting) {
  std::string given = setting;
  if (given.empty())
    if (const char* variable = std::getenv("REPRISE_COMPILE_CACHE")) given = variable;
  if (given == "off") return {.off = true, .path = ""};
  if (!given.empty()) return {.off = false, .path = given};
  if (const std::string cache = absolute_variable("XDG_CACHE_HOME"); !cache.empty())
    return {.off = false, .path = cache + "/reprise/kernels"};
  if (const std::string home = absolute_variable("HOME"); !home.empty())
    return {.off = false, .path = home + "/.cache/reprise/kernels"};
  return {};
}

std::string entry_name(std::string_view key) {
  return stored_name(key) + std::string(kEntryEnd);
}

void CacheDirectory::open(bool create) {
  close();
  distrust_.clear();
  error_ = path_.empty() ? ENOENT : 0;
  if (error_ != 0) return;
  constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
  fd_ = ::open(path_.c_str(), kFlags);
  error_ = fd_ < 0 ? errno : 0;
  if (error_ == ENOENT && create) {
    error_ = make_folders(path_);
    if (error_ == 0) {
      fd_ = ::open(path_.c_str(), kFlags);
      error_ = fd_ < 0 ? errno : 0;
    }
  }
  if (fd_ >= 0) check_owner();
}

void CacheDirectory::check_owner() {
  struct stat info {};
  if (::fstat(fd_, &info) != 0) {
    error_ = errno;
    close();
    return;
  }
  distrust_ = distrust_of(info);
  writable_ = ::faccessat(fd_, ".", W_OK | X_OK, AT_EACCESS) == 0;
  if (!writable_) error_ = errno;
}

void CacheDirectory::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
  writable_ = false;
}

bool CacheDirectory::missing() const {
  return !is_open() && error_ == ENOENT;
}

std::string CacheDirectory::problem() const {
  if (path_.empty())
    return "[--compile-cache] there is no place for compiled kernels, since neither XDG_CACHE_HOME nor HOME "
           "is an absolute path; name a directory, or off";
  if (!is_open())
    return fmt::format(
        "[--compile-cache] {} cannot be used: {}; name a directory that this user may write to, or off",
        path_, reason_of(error_));
  if (!distrust_.empty())
    return fmt::format(
        "[--compile-cache] {} is not used, since it {}, so the code in it need not be this user's; name "
        "another directory, or make it this user's own: chown and chmod 700",
        path_, distrust_);
  if (!writable_)
    return fmt::format(
        "[--compile-cache] {} cannot be written ({}), so kernels that it lacks are compiled at every start; "
        "name a directory that this user may write to, or off",
        path_, reason_of(error_));
  return "";
}

CacheDirectory::Entry CacheDirectory::read(const std::string& name, bool touch) {
  // Not through a link, and without waiting for the writer of a pipe.
  const FileDescriptor file(::openat(fd_, name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (file.get() < 0) {
    if (errno == ELOOP || errno == ENXIO)
      return {.state = Entry::State::read, .refused = "is not a regular file"};
    return {.state = errno == ENOENT ? Entry::State::absent : Entry::State::unreadable};
  }
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return {.state = Entry::State::unreadable};
  Entry entry{.state = Entry::State::read, .bytes = {}, .refused = distrust_of(info)};
  if (!S_ISREG(info.st_mode))
    entry.refused = "is not a regular file";
  else if (static_cast<uint64_t>(info.st_size) > kMostEntryBytes)
    entry.refused = fmt::format("has {} bytes, more than an entry can have", info.st_size);
  if (!entry.refused.empty()) return entry;
  entry.bytes = read_bytes(file.get(), static_cast<size_t>(info.st_size));
  // Refused on a read-only disk, where nothing is deleted either.
  if (touch) static_cast<void>(::futimens(file.get(), nullptr));
  return entry;
}

int CacheDirectory::write(const std::string& name, std::span<const std::byte> bytes) {
  const std::string part = part_name(name);
  FileDescriptor file(
      ::openat(fd_, part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, kOwnerOnlyFile));
  if (file.get() < 0) return errno;
  int error = write_bytes(file.get(), bytes);
  if (const int closing = file.close(); error == 0) error = closing;
  if (error == 0 && ::renameat(fd_, part.c_str(), fd_, name.c_str()) != 0) error = errno;
  if (error != 0) ::unlinkat(fd_, part.c_str(), 0);
  return error;
}

bool CacheDirectory::remove(const std::string& name) {
  return ::unlinkat(fd_, name.c_str(), 0) == 0;
}

std::vector<CacheDirectory::File> CacheDirectory::files(bool (*is_wanted)(std::string_view name)) const {
  std::vector<File> found;
  if (!is_open()) return found;
  const int fd = ::openat(fd_, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);  // with a position of its own
  if (fd < 0) return found;
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::fdopendir(fd), ::closedir);
  if (!folder) {
    ::close(fd);
    return found;
  }
  while (const dirent* item = ::readdir(folder.get())) {
    struct stat info {};
    if (is_wanted(item->d_name) && ::fstatat(fd_, item->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0)
      found.push_back(
          {.name = item->d_name, .bytes = static_cast<uint64_t>(info.st_size), .used = info.st_mtim});
  }
  return found;
}

std::vector<CacheDirectory::File> CacheDirectory::entries() const {
  std::vector<File> found = files(is_entry);
  const auto order = [](const File& file) {
    return std::tuple(file.used.tv_sec, file.used.tv_nsec, std::string_view(file.name));
  };
  std::ranges::sort(found, {}, order);
  return found;
}

void CacheDirectory::sweep() {
  const std::time_t now = std::time(nullptr);
  // A time far ahead is one of another clock.
  for (const File& file : files(is_part))
    if (std::abs(now - file.used.tv_sec) > kLeftoverSeconds) remove(file.name);
}

}  // namespace reprise::codegen
