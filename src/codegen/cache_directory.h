// The directory of the kernel cache and the files in it: who may have written them, reading, writing and
// deleting. Only files with the cache's own names are ever touched, so a directory that holds others is safe.
#pragma once

#include <ctime>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace reprise::codegen {

// Where the cache lies for what the user gave: a path, "off", or "" for REPRISE_COMPILE_CACHE (a path or
// "off"), else $XDG_CACHE_HOME/reprise/kernels, else $HOME/.cache/reprise/kernels. The last two count only
// where they are absolute paths, as the XDG specification says.
struct CachePlace {
  bool off = false;
  std::string path;  // empty: off, or there is no place
};
CachePlace find_cache_place(const std::string& setting);

// "0123...cdef.kernel" for a key.
std::string entry_name(std::string_view key);

// One thread at a time. What the file system refuses is a result, never an exception.
class CacheDirectory {
 public:
  explicit CacheDirectory(std::string path) : path_(std::move(path)) {}
  ~CacheDirectory() { close(); }
  CacheDirectory(const CacheDirectory&) = delete;
  CacheDirectory& operator=(const CacheDirectory&) = delete;

  // With `create`, makes the directory and those above it, for their owner alone. Afterwards is_open() says
  // whether it can be read.
  void open(bool create);
  void close();
  const std::string& path() const { return path_; }
  bool is_open() const { return fd_ >= 0; }
  bool missing() const;  // not open because there is no such directory
  // Why its entries must not be run: another user may have put them there. Empty: they may.
  const std::string& distrust() const { return distrust_; }
  // What keeps the cache from being used, or used in full, and what to do: one line. Empty: nothing.
  std::string problem() const;

  struct Entry {
    enum class State { absent, unreadable, read } state = State::absent;
    std::vector<std::byte> bytes = {};  // unchecked
    std::string refused = {};           // not empty: why it was not read (another user's, a link, too large)
  };
  // `touch`: it was used now. An entry has at most kMostEntryBytes.
  Entry read(const std::string& name, bool touch);
  // Writes a file of its own and renames it: no reader sees a part. Returns 0 or errno.
  int write(const std::string& name, std::span<const std::byte> bytes);
  bool remove(const std::string& name);  // true: it was there and is gone

  struct File {
    std::string name;
    uint64_t bytes;
    timespec used;  // the last time that it was read or written
  };
  // The entries, least recently used first.
  std::vector<File> entries() const;
  // Deletes what writers that ended before their rename left behind, which is known by its age (10 minutes).
  void sweep();

  static constexpr size_t kMostEntryBytes = size_t{64} << 20;

 private:
  void check_owner();
  std::vector<File> files(bool (*is_wanted)(std::string_view name)) const;

  std::string path_;
  int fd_ = -1;
  int error_ = 0;  // why it is not open, or can't be written
  bool writable_ = false;
  std::string distrust_;
};

}  // namespace reprise::codegen
