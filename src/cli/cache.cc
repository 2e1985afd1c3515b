// `reprise cache`: the kernels that earlier starts compiled and left on disk: listed, checked, deleted.
#include <algorithm>
#include <memory>
#include <numeric>

#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/model_flags.h"
#include "cli/say.h"
#include "codegen/kernel_cache.h"
#include "core/error.h"
#include "core/json.h"
#include "core/text_output.h"

namespace reprise::cli {
namespace {

struct CacheFlags {
  std::string directory;  // empty: the usual place
  size_t max_size = 0;
  bool remove = false;
  bool json = false;
};

std::string age_text(double seconds) {
  constexpr double kMinute = 60, kHour = 60 * kMinute, kDay = 24 * kHour;
  if (seconds < kMinute) return fmt::format("{:.0f} s", seconds);
  if (seconds < kHour) return fmt::format("{:.0f} min", seconds / kMinute);
  if (seconds < 2 * kDay) return fmt::format("{:.0f} h", seconds / kHour);
  return fmt::format("{:.0f} days", seconds / kDay);
}

codegen::CacheListing look(const CacheFlags& flags) {
  codegen::CacheListing listing = codegen::list_cache(flags.directory);
  if (!listing.warning.empty()) say_warning(listing.warning);
  return listing;
}

Json entry_json(const codegen::CacheListing::Entry& entry) {
  Json json = {{"file", entry.file}, {"bytes", entry.bytes},       {"idle_s", entry.idle_s},
               {"key", entry.key},   {"compiler", entry.compiler}, {"valid", entry.problem.empty()}};
  if (!entry.problem.empty()) json["problem"] = entry.problem;
  return json;
}

std::string what_it_holds(const codegen::CacheListing::Entry& entry) {
  if (!entry.problem.empty()) return "rejected: it " + entry.problem;
  return entry.compiler.empty() ? entry.key : fmt::format("{} by {}", entry.key, entry.compiler);
}

int run_list(const CacheFlags& flags) {
  const codegen::CacheListing listing = look(flags);
  uint64_t bytes = 0;
  for (const codegen::CacheListing::Entry& entry : listing.entries) bytes += entry.bytes;
  TextOutput& out = TextOutput::standard();
  if (flags.json) {
    Json entries = Json::array();
    for (const codegen::CacheListing::Entry& entry : listing.entries) entries.push_back(entry_json(entry));
    const Json report = {{"directory", listing.directory}, {"bytes", bytes}, {"entries", std::move(entries)}};
    out.print("{}\n", to_json_text(report));
    return 0;
  }
  if (!listing.entries.empty()) out.print("{:<40} {:>10} {:>9}  kernel\n", "file", "bytes", "last used");
  for (const codegen::CacheListing::Entry& entry : listing.entries)
    out.print("{:<40} {:>10} {:>9}  {}\n", entry.file, entry.bytes, age_text(entry.idle_s),
              what_it_holds(entry));
  out.print("{} entries, {}, in {}\n", listing.entries.size(), size_text(bytes), listing.directory);
  return 0;
}

int run_verify(const CacheFlags& flags) {
  const codegen::CacheListing listing = look(flags);
  TextOutput& out = TextOutput::standard();
  Json damaged = Json::array();
  for (const codegen::CacheListing::Entry& entry : listing.entries)
    if (!entry.problem.empty()) {
      damaged.push_back({{"file", entry.file}, {"problem", entry.problem}});
      if (!flags.json) out.print("{} {}\n", entry.file, entry.problem);
    }
  const size_t count = damaged.size();
  const int64_t removed = flags.remove ? codegen::remove_damaged(flags.directory).removed : 0;
  if (flags.json)
    out.print("{}\n", to_json_text({{"directory", listing.directory},
                                    {"entries", listing.entries.size()},
                                    {"damaged", std::move(damaged)},
                                    {"removed", removed}}));
  else
    out.print("{} entries in {}: {} damaged, {} removed\n", listing.entries.size(), listing.directory, count,
              removed);
  if (count > 0 && !flags.remove)
    throw Error(
        "[cache verify] {} of {} entries are damaged; delete them with --remove, and they are compiled "
        "again when they are needed",
        count, listing.entries.size());
  return 0;
}

int run_clear(const CacheFlags& flags) {
  const codegen::CacheRemoval result = codegen::clear_cache(flags.directory, flags.max_size);
  TextOutput& out = TextOutput::standard();
  if (flags.json)
    out.print("{}\n", to_json_text({{"directory", result.directory},
                                    {"removed", result.removed},
                                    {"removed_bytes", result.removed_bytes},
                                    {"left", result.left},
                                    {"left_bytes", result.left_bytes}}));
  else
    out.print("{} entries removed ({}), {} left ({}) in {}\n", result.removed,
              size_text(result.removed_bytes), result.left, size_text(result.left_bytes), result.directory);
  return 0;
}

// The flags that all have, and what runs.
void add_flags(Command& command, const std::shared_ptr<CacheFlags>& flags, int (*run)(const CacheFlags&)) {
  command.add(
      "--compile-cache", "PATH",
      [flags](const std::string& name, const std::string& value) {
        if (value.empty() || value == "off") throw Error("[{}] is '{}', expected a directory", name, value);
        flags->directory = value;
      },
      "the cache's directory; otherwise REPRISE_COMPILE_CACHE, or reprise/kernels in $XDG_CACHE_HOME or "
      "~/.cache");
  command.on_off("--json", flags->json, "as one line of JSON");
  command.action([flags, run] { return run(*flags); });
}

}  // namespace

void add_cache(Command& program) {
  Command& cache = program.add_command("cache", "Compiled kernels kept on disk: list, verify, clear");
  auto flags = std::make_shared<CacheFlags>();
  add_flags(cache.add_command("list", "What is in it, least recently used first"), flags, run_list);
  Command& verify = cache.add_command("verify", "Read every entry; exit code 1 where one is damaged");
  verify.on_off("--remove", flags->remove, "delete what is damaged");
  add_flags(verify, flags, run_verify);
  Command& clear = cache.add_command("clear", "Delete entries, least recently used first");
  clear.size("--max-size", flags->max_size,
             "until at most so many bytes are left, such as 64MiB; left out: all");
  add_flags(clear, flags, run_clear);
}

}  // namespace reprise::cli
