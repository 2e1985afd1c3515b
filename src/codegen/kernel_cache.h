// Compiled kernels kept on disk between starts: a file for each, found by a text of everything that its code
// depends on but the compiler that made it, which the file says. Only what this user alone can have written is
// believed, and only whole: a damaged entry is as good as none. The file system may do what it likes; at worst
// there is no cache.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "codegen/cache_directory.h"

namespace reprise::codegen {

// Any thread; calls wait for each other. Several processes may use one directory: they may do the same work
// twice, but never read a part of an entry.
class KernelCache {
 public:
  struct Settings {
    std::string directory = {};            // find_cache_place()
    size_t max_bytes = size_t{256} << 20;  // of all entries
    bool only_looks = false;               // nothing is made, deleted or marked as used
  };
  // Each load counts once, as hit, miss or rejected; where there is no cache, as a miss.
  struct Stats {
    int64_t hits = 0;
    int64_t misses = 0;
    int64_t rejected = 0;  // entries that were damaged or not this user's; they are deleted
    int64_t stored = 0;
    int64_t failed = 0;  // entries that could not be written
  };

  // Makes the directory where it is missing, unless it only looks.
  explicit KernelCache(const Settings& settings);

  // The payload that `compiler` made for exactly this key; empty: whichever made it. `note`, if not null: its
  // verdict (codegen/verdict.h) as a text, empty where it was not timed.
  std::optional<std::vector<std::byte>> load(std::string_view key, std::string_view compiler = {},
                                             std::string* note = nullptr);
  // In place of what another compiler made. False where it was not written. The bound of all entries is kept by
  // deleting those that were not used for longest; other processes that write at the same time may pass it until
  // the next store.
  bool store(std::string_view key, std::span<const std::byte> payload, std::string_view compiler = {},
             std::string_view note = {});

  // Empty, or one line for the user: why the cache is not used, or not in full, and what to do. It may appear
  // when something is stored.
  std::string warning() const;
  const std::string& directory() const { return directory_.path(); }  // empty: off, or no place for it
  Stats stats() const;

 private:
  void make_room(const std::string& kept);

  const size_t max_bytes_;
  const bool only_looks_;
  mutable std::mutex mutex_;
  CacheDirectory directory_;
  bool usable_ = false;
  bool counted_ = false;  // total_bytes_ holds what was there before
  uint64_t total_bytes_ = 0;
  std::string warning_;
  Stats stats_;
};

// For `reprise cache`. Each throws Error where the cache is off or its directory can't be read; one that does
// not exist is empty.
struct CacheListing {
  struct Entry {
    std::string file;
    uint64_t bytes = 0;
    double idle_s = 0;          // since it was last used
    std::string key = {};       // its first line, without control characters; empty where it can't be read
    std::string compiler = {};  // that made it, in the same way
    std::string problem = {};   // why it would be rejected; empty: it would be loaded
  };
  std::string directory;
  std::string warning;         // as of KernelCache
  std::vector<Entry> entries;  // least recently used first
};
CacheListing list_cache(const std::string& setting);

struct CacheRemoval {
  std::string directory = {};
  int64_t removed = 0;
  uint64_t removed_bytes = 0;
  int64_t left = 0;
  uint64_t left_bytes = 0;
};
// Deletes entries, least recently used first, until at most `most_bytes` are left. Throws Error also where an
// entry can't be deleted.
CacheRemoval clear_cache(const std::string& setting, uint64_t most_bytes = 0);
// Deletes the entries that have a problem.
CacheRemoval remove_damaged(const std::string& setting);

}  // namespace reprise::codegen
