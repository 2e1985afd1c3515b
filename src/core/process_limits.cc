#include "core/process_limits.h"

#include "core/json.h"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <fstream>
#include <iterator>
#include <limits>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace reprise {
namespace {

constexpr size_t kNoLimit = std::numeric_limits<size_t>::max();
constexpr size_t kUnlimited = size_t{1} << 62;  // version 1 writes 2^63 less a page where there is no limit
constexpr size_t kUnknownMemory = size_t{1} << 30;

// Whole text of a file, "" where it can't be read.
std::string read_file(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

// A whole number that begins the text, after blanks. "max", "-1", "" and what is too large are none.
std::optional<size_t> number_in(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t\n"), text.size()));
  size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{}) return std::nullopt;
  return value;
}

std::optional<size_t> read_number(const std::string& path) {
  return number_in(read_file(path));
}

// The number of a line "KEY NUMBER" or "KEY: NUMBER kB" (times 1024).
std::optional<size_t> number_of(std::string_view text, std::string_view key) {
  for (const std::string_view line : split(text, '\n')) {
    if (!line.starts_with(key)) continue;
    std::string_view rest = line.substr(key.size());
    if (rest.starts_with(':')) rest.remove_prefix(1);
    if (!rest.starts_with(' ') && !rest.starts_with('\t')) continue;
    const std::optional<size_t> value = number_in(rest);
    if (!value.has_value() || !rest.ends_with(" kB")) return value;
    return *value > kNoLimit / 1024 ? std::nullopt : std::optional(*value * 1024);
  }
  return std::nullopt;
}

// --- cgroups

enum class Version : uint8_t { v1, v2 };

struct Mount {
  std::string point;  // where it lies
  std::string group;  // the group that is seen there
  Version version;
  std::string options;  // version 1: the controllers
};

// A blank in a path of mountinfo is written as \040, and so on.
std::string unescape(std::string_view text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    int code = 0;
    if (text[i] == '\\' && i + 3 < text.size() &&
        std::from_chars(&text[i + 1], &text[i + 4], code, 8).ptr == &text[i + 4]) {
      plain += static_cast<char>(code);
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

// Lines "36 35 98:0 GROUP POINT rw,noatime [optional fields] - TYPE SOURCE OPTIONS", see proc(5).
std::vector<Mount> cgroup_mounts(const std::string& root) {
  std::vector<Mount> mounts;
  const std::string text = read_file(root + "/proc/self/mountinfo");
  for (const std::string_view line : split(text, '\n')) {
    const size_t dash = line.find(" - ");
    if (dash == std::string_view::npos) continue;
    const auto fields = split(line.substr(0, dash), ' '), behind = split(line.substr(dash + 3), ' ');
    if (fields.size() < 5 || behind.size() < 3 || (behind[0] != "cgroup" && behind[0] != "cgroup2")) continue;
    mounts.push_back({.point = unescape(fields[4]),
                      .group = unescape(fields[3]),
                      .version = behind[0] == "cgroup2" ? Version::v2 : Version::v1,
                      .options = std::string(behind[2])});
  }
  return mounts;
}

bool lists(std::string_view comma_list, std::string_view name) {
  const auto names = split(comma_list, ',');
  return std::find(names.begin(), names.end(), name) != names.end();
}

// The groups of this process, from lines "ID:CONTROLLERS:PATH" of which version 2's has no controllers.
struct Membership {
  std::string v1, v2;  // "" where the process is in none
};
Membership membership(const std::string& root, std::string_view controller) {
  Membership found;
  const std::string text = read_file(root + "/proc/self/cgroup");
  for (const std::string_view line : split(text, '\n')) {
    const size_t first = line.find(':');
    const size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    if (controllers.empty())
      found.v2 = line.substr(second + 1);
    else if (lists(controllers, controller))
      found.v1 = line.substr(second + 1);
  }
  return found;
}

// Path of `group` below a mount that shows `top`: "/a/b" below "/a" is "/b". "" where the group lies outside
// of what is mounted, as it looks from inside of a cgroup namespace ("/../.."): then the mount's own files
// count.
std::string below(std::string_view group, std::string_view top) {
  if (top.ends_with('/')) top.remove_suffix(1);
  if (!group.starts_with(top)) return "";
  group.remove_prefix(top.size());
  if (!group.starts_with('/')) return "";
  const auto parts = split(group, '/');
  if (std::find(parts.begin(), parts.end(), "..") != parts.end()) return "";
  return std::string(group == "/" ? "" : group);
}

struct Folder {
  std::string path;
  Version version;
};

// Folders of the groups that this process is in, each with all groups above it.
std::vector<Folder> cgroup_folders(const std::string& root, std::string_view controller) {
  const Membership of = membership(root, controller);
  std::vector<Folder> folders;
  const auto add = [&](const Mount& mount) {
    std::string group = below(mount.version == Version::v2 ? of.v2 : of.v1, mount.group);
    while (true) {
      folders.push_back({std::string(root).append(mount.point).append(group), mount.version});
      if (group.empty()) return;
      group.resize(group.rfind('/'));
    }
  };
  std::vector<Mount> mounts = cgroup_mounts(root);
  std::erase_if(mounts, [&](const Mount& mount) {
    return mount.version == Version::v1 && !lists(mount.options, controller);
  });
  for (const Mount& usual : {Mount{"/sys/fs/cgroup", "/", Version::v2, ""},
                             Mount{"/sys/fs/cgroup/" + std::string(controller), "/", Version::v1, ""}})
    if (std::none_of(mounts.begin(), mounts.end(), [&](const Mount& m) { return m.point == usual.point; }))
      mounts.push_back(usual);
  for (const Mount& mount : mounts) add(mount);
  return folders;
}

// What a group leaves of its memory limit.
size_t memory_left(const Folder& folder) {
  const bool v2 = folder.version == Version::v2;
  const std::string stat = read_file(folder.path + "/memory.stat");
  const auto number = [&](const char* file) { return read_number(folder.path + "/" + file); };
  // The last is the tightest limit of all groups above, those that a container can't see included.
  const size_t limit =
      v2 ? std::min(number("memory.max").value_or(kNoLimit), number("memory.high").value_or(kNoLimit))
         : std::min(number("memory.limit_in_bytes").value_or(kNoLimit),
                    number_of(stat, "hierarchical_memory_limit").value_or(kNoLimit));
  if (limit >= kUnlimited) return kNoLimit;
  const size_t used = number(v2 ? "memory.current" : "memory.usage_in_bytes").value_or(0);
  const std::string prefix = v2 ? "" : "total_";  // version 1: of the groups below as well, as its usage is
  size_t needed = used;
  for (const char* key : {"inactive_file", "active_file"})
    needed -= std::min(needed, number_of(stat, prefix + key).value_or(0));
  return limit > needed ? limit - needed : 0;
}

double cpus_of(const Folder& folder) {
  std::optional<size_t> quota, period;
  if (folder.version == Version::v2) {
    const std::string text = read_file(folder.path + "/cpu.max");  // "150000 100000", "max 100000"
    quota = number_in(text);
    period = number_in(std::string_view(text).substr(std::min(text.find(' '), text.size())));
  } else {
    quota = read_number(folder.path + "/cpu.cfs_quota_us");  // -1: none
    period = read_number(folder.path + "/cpu.cfs_period_us");
  }
  constexpr size_t kUsualPeriod = 100'000;
  if (!quota.has_value() || *quota == 0 || period == 0u) return INFINITY;
  return static_cast<double>(*quota) / static_cast<double>(period.value_or(kUsualPeriod));
}

// --- ulimit

// What is left of a resource limit of which `used_field` of /proc/self/statm (in pages) is used.
size_t resource_left(decltype(RLIMIT_AS) resource, size_t used_field) {
  rlimit limit{};
  if (getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return kNoLimit;
  const std::string statm = read_file("/proc/self/statm");
  const auto fields = split(statm, ' ');
  const size_t pages = used_field < fields.size() ? number_in(fields[used_field]).value_or(0) : 0;
  const size_t used = pages * static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return limit.rlim_cur > used ? limit.rlim_cur - used : 0;
}

size_t memory_of_machine(const std::string& root) {
  const std::string text = read_file(root + "/proc/meminfo");
  if (const auto available = number_of(text, "MemAvailable")) return *available;
  // Kernels before 3.14 and some emulations of /proc lack that line.
  const auto free = number_of(text, "MemFree");
  if (!free.has_value()) return kNoLimit;
  return *free + number_of(text, "Buffers").value_or(0) + number_of(text, "Cached").value_or(0);
}

// Of the affinity mask; 1 where the system doesn't say.
int affinity_cores() {
  constexpr int kMostCpus = 1 << 16;
  for (int cpus = CPU_SETSIZE; cpus <= kMostCpus; cpus *= 2) {
    const std::unique_ptr<cpu_set_t, void (*)(cpu_set_t*)> set(CPU_ALLOC(static_cast<size_t>(cpus)),
                                                               [](cpu_set_t* s) { CPU_FREE(s); });
    const size_t bytes = CPU_ALLOC_SIZE(static_cast<size_t>(cpus));
    if (set == nullptr) return 1;
    CPU_ZERO_S(bytes, set.get());
    if (sched_getaffinity(0, bytes, set.get()) == 0) return std::max(1, CPU_COUNT_S(bytes, set.get()));
    if (errno != EINVAL) return 1;  // EINVAL: the machine has more CPUs
  }
  return 1;
}

}  // namespace

size_t available_memory(const std::string& root) {
  constexpr size_t kSizeField = 0, kDataField = 5;  // of statm
  size_t available = std::min({memory_of_machine(root), resource_left(RLIMIT_AS, kSizeField),
                               resource_left(RLIMIT_DATA, kDataField)});
  for (const Folder& folder : cgroup_folders(root, "memory"))
    available = std::min(available, memory_left(folder));
  return available == kNoLimit ? kUnknownMemory : available;
}

double cpu_quota(const std::string& root) {
  double cpus = INFINITY;
  for (const Folder& folder : cgroup_folders(root, "cpu")) cpus = std::min(cpus, cpus_of(folder));
  return cpus;
}

int usable_cores(const std::string& root) {
  const double quota = std::ceil(std::min(cpu_quota(root), static_cast<double>(kMostThreads)));
  return std::max(1, std::min(affinity_cores(), static_cast<int>(quota)));
}

}  // namespace reprise
