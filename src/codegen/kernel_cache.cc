#include "codegen/kernel_cache.h"

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <functional>
#include <system_error>
#include <utility>

#include "codegen/kernel_file.h"
#include "codegen/verdict.h"
#include "core/error.h"

namespace reprise::codegen {
namespace {

// What is freed beyond the bound, so that not every store has to look for the oldest.
constexpr uint64_t kSlackShare = 10;

// An entry whose name is `name`: one pair, and which compiler made it. Its note is empty or a verdict. Throws Error,
// the end of a sentence.
KernelFile parse_entry(std::span<const std::byte> bytes, const std::string& name) {
  KernelFile file = parse_kernel_file(KernelFileKind::cache_entry, bytes);
  if (file.pairs.size() != 1) throw Error("holds {} kernels, expected 1", file.pairs.size());
  if (entry_name(file.pairs[0].key) != name) throw Error("is the entry of another key");
  if (!file.pairs[0].note.empty()) static_cast<void>(parse_verdict(file.pairs[0].note));
  return file;
}

std::string first_line(std::string_view text) {
  std::string line(text.substr(0, text.find('\n')));
  std::ranges::replace_if(
      line, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
  return line;
}

// nullopt where it was deleted meanwhile.
std::optional<CacheListing::Entry> describe(CacheDirectory& directory, const CacheDirectory::File& file) {
  CacheListing::Entry described{.file = file.name, .bytes = file.bytes};
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  described.idle_s = std::max(0.0, static_cast<double>(now.tv_sec - file.used.tv_sec) +
                                       1e-9 * static_cast<double>(now.tv_nsec - file.used.tv_nsec));
  const CacheDirectory::Entry entry = directory.read(file.name, /*touch=*/false);
  if (entry.state == CacheDirectory::Entry::State::absent) return std::nullopt;
  described.problem =
      entry.state == CacheDirectory::Entry::State::unreadable ? "cannot be read" : entry.refused;
  if (!described.problem.empty()) return described;
  try {
    const KernelFile entry_file = parse_entry(entry.bytes, file.name);
    described.key = first_line(entry_file.pairs[0].key);
    described.compiler = first_line(entry_file.about);
  } catch (const Error& e) {
    described.problem = e.what();
  }
  return described;
}

// Opens the directory that `setting` names; one that does not exist stays closed.
void open_existing(CacheDirectory& directory) {
  directory.open(/*create=*/false);
  if (!directory.is_open() && (!directory.missing() || directory.path().empty()))
    throw Error(directory.problem());
}

std::string existing_path(const std::string& setting) {
  const CachePlace place = find_cache_place(setting);
  if (place.off) throw Error("[--compile-cache] is off, so there is no cache; name a directory");
  return place.path;
}

CacheRemoval remove_where(
    const std::string& setting,
    const std::function<bool(CacheDirectory&, const CacheDirectory::File&, uint64_t left)>& gone) {
  CacheDirectory directory(existing_path(setting));
  open_existing(directory);
  CacheRemoval result{.directory = directory.path()};
  const std::vector<CacheDirectory::File> files = directory.entries();
  for (const CacheDirectory::File& file : files) result.left_bytes += file.bytes;
  result.left = static_cast<int64_t>(files.size());
  for (const CacheDirectory::File& file : files) {
    if (!gone(directory, file, result.left_bytes)) continue;
    const bool deleted = directory.remove(file.name);
    if (!deleted && errno != ENOENT)
      throw Error(
          "[--compile-cache] cannot delete {}/{}: {}; run it as the user whom the directory belongs to",
          directory.path(), file.name, std::generic_category().message(errno));
    --result.left;
    result.left_bytes -= file.bytes;
    if (!deleted) continue;  // somebody else was faster
    ++result.removed;
    result.removed_bytes += file.bytes;
  }
  directory.sweep();
  return result;
}

}  // namespace

KernelCache::KernelCache(const Settings& settings)
    : max_bytes_(settings.max_bytes),
      only_looks_(settings.only_looks),
      directory_(find_cache_place(settings.directory).path) {
  if (find_cache_place(settings.directory).off) return;
  directory_.open(/*create=*/!only_looks_);
  warning_ = directory_.problem();
  usable_ = directory_.is_open() && directory_.distrust().empty();
}

std::optional<std::vector<std::byte>> KernelCache::load(std::string_view key, std::string_view compiler,
                                                        std::string* note) {
  const std::lock_guard lock(mutex_);
  if (!usable_) {
    ++stats_.misses;
    return std::nullopt;
  }
  const std::string name = entry_name(key);
  const CacheDirectory::Entry entry = directory_.read(name, /*touch=*/!only_looks_);
  if (entry.state != CacheDirectory::Entry::State::read) {
    ++stats_.misses;
    return std::nullopt;
  }
  try {
    if (!entry.refused.empty()) throw Error(entry.refused);
    const KernelFile file = parse_entry(entry.bytes, name);
    const KernelPair& pair = file.pairs[0];
    if (pair.key == key && (compiler.empty() || file.about == compiler)) {
      ++stats_.hits;
      if (note != nullptr) *note = pair.note;
      return std::vector<std::byte>(pair.payload.begin(), pair.payload.end());
    }
    ++stats_.misses;  // another compiler's, or two keys with one name: the last one stored has it
  } catch (const Error&) {
    if (!only_looks_) directory_.remove(name);
    ++stats_.rejected;
  }
  return std::nullopt;
}

bool KernelCache::store(std::string_view key, std::span<const std::byte> payload, std::string_view compiler,
                        std::string_view note) {
  const std::lock_guard lock(mutex_);
  if (!usable_ || only_looks_) return false;
  const std::string name = entry_name(key);
  const std::vector<std::byte> bytes = kernel_file_bytes(KernelFileKind::cache_entry, compiler,
                                                         {{.key = key, .payload = payload, .note = note}});
  const bool too_large = bytes.size() > std::min(max_bytes_, CacheDirectory::kMostEntryBytes);
  int error = too_large ? EFBIG : directory_.write(name, bytes);
  if (error == ENOENT) {  // somebody removed the directory
    directory_.open(/*create=*/true);
    usable_ = directory_.is_open() && directory_.distrust().empty();
    if (usable_) error = directory_.write(name, bytes);
  }
  if (error != 0) {
    ++stats_.failed;
    if (warning_.empty())
      warning_ = fmt::format(
          "[--compile-cache] cannot write to {}: {}, so kernels are compiled at every start; free space, "
          "name another directory, or off",
          directory_.path(), std::generic_category().message(error));
    return false;
  }
  ++stats_.stored;
  total_bytes_ += bytes.size();
  if (!counted_ || total_bytes_ > max_bytes_) make_room(name);
  return true;
}

void KernelCache::make_room(const std::string& kept) {
  if (!counted_) directory_.sweep();
  counted_ = true;
  const std::vector<CacheDirectory::File> files = directory_.entries();
  total_bytes_ = 0;
  for (const CacheDirectory::File& file : files) total_bytes_ += file.bytes;
  if (total_bytes_ <= max_bytes_) return;
  for (const CacheDirectory::File& file : files) {
    if (total_bytes_ <= max_bytes_ - max_bytes_ / kSlackShare) return;
    if (file.name == kept) continue;
    directory_.remove(file.name);
    total_bytes_ -= file.bytes;
  }
}

std::string KernelCache::warning() const {
  const std::lock_guard lock(mutex_);
  return warning_;
}

KernelCache::Stats KernelCache::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

CacheListing list_cache(const std::string& setting) {
  CacheDirectory directory(existing_path(setting));
  open_existing(directory);
  CacheListing listing{.directory = directory.path(), .warning = "", .entries = {}};
  if (!directory.is_open()) return listing;
  listing.warning = directory.problem();
  for (const CacheDirectory::File& file : directory.entries())
    if (std::optional<CacheListing::Entry> entry = describe(directory, file))
      listing.entries.push_back(std::move(*entry));
  return listing;
}

CacheRemoval clear_cache(const std::string& setting, uint64_t most_bytes) {
  return remove_where(setting, [&](CacheDirectory&, const CacheDirectory::File&, uint64_t left) {
    return left > most_bytes;
  });
}

CacheRemoval remove_damaged(const std::string& setting) {
  return remove_where(setting, [](CacheDirectory& directory, const CacheDirectory::File& file, uint64_t) {
    const std::optional<CacheListing::Entry> entry = describe(directory, file);
    return entry && !entry->problem.empty();
  });
}

}  // namespace reprise::codegen
