#include "codegen/kernel_cache.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <functional>
#include <thread>

#include "core/error.h"
#include "tests/codegen/temporary_folder.h"

namespace reprise::codegen {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr size_t kMiB = size_t{1} << 20;
constexpr uid_t kNobody = 65534;

// What a test stores for a key: any other bytes would be a wrong load.
std::vector<std::byte> payload_of(const std::string& key, size_t bytes = 3000) {
  std::vector<std::byte> payload(bytes);
  auto state = static_cast<uint32_t>(std::hash<std::string>{}(key));
  for (std::byte& byte : payload) byte = static_cast<std::byte>((state = state * 1664525 + 1013904223) >> 24);
  return payload;
}

void set_age(const std::string& path, int64_t seconds) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  now.tv_sec -= seconds;
  const timespec times[] = {now, now};
  ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW), 0);
}

mode_t mode_of(const std::string& path) {
  struct stat info {};
  EXPECT_EQ(stat(path.c_str(), &info), 0) << path;
  return info.st_mode & 0777;
}

// Runs in a process of its own; what is returned is what `check` returned, -1 where it ended otherwise.
pid_t start(const std::function<int()>& check) {
  const pid_t child = fork();
  if (child == 0) {
    try {
      _exit(check());
    } catch (...) {
      _exit(99);
    }
  }
  return child;
}
int code_of(pid_t child) {
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void give_to(const std::string& folder, uid_t user) {
  for (const auto& item : std::filesystem::recursive_directory_iterator(folder))
    ASSERT_EQ(lchown(item.path().c_str(), user, static_cast<gid_t>(-1)), 0);
  ASSERT_EQ(chown(folder.c_str(), user, static_cast<gid_t>(-1)), 0);
}
// As a user whom permission bits bind: root becomes another one, who gets `folder`.
int code_as_plain_user(const std::string& folder, const std::function<int()>& check) {
  const bool root = geteuid() == 0;
  if (root) give_to(folder, kNobody);
  const int code = code_of(start([&] { return root && setuid(kNobody) != 0 ? 98 : check(); }));
  if (root) give_to(folder, 0);
  return code;
}

bool one_line(const std::string& text) {
  return !text.empty() && text.find('\n') == std::string::npos;
}

class KernelCacheTest : public testing::Test {
 protected:
  std::string cache_path() const { return folder_.path("cache"); }
  std::string entry_path(const std::string& key) const { return cache_path() + "/" + entry_name(key); }
  KernelCache::Settings settings(size_t max_bytes = 256 * kMiB) const {
    return {.directory = cache_path(), .max_bytes = max_bytes};
  }
  void store(const std::string& key, size_t bytes = 3000) const {
    KernelCache cache(settings());
    ASSERT_TRUE(cache.store(key, payload_of(key, bytes))) << cache.warning();
  }

  TemporaryFolder folder_;
};

TEST_F(KernelCacheTest, LoadsWhatWasStored) {
  const std::vector<std::string> keys = {"one", "", std::string("zero\0inside", 11), "two\nlines",
                                         std::string(100000, 'k')};
  {
    KernelCache cache(settings());
    EXPECT_EQ(cache.warning(), "");
    EXPECT_EQ(cache.directory(), cache_path());
    for (const std::string& key : keys) {
      EXPECT_FALSE(cache.load(key));
      EXPECT_TRUE(cache.store(key, payload_of(key)));
      EXPECT_EQ(cache.load(key), payload_of(key));
    }
    EXPECT_TRUE(cache.store("empty", {}));
  }
  KernelCache cache(settings());
  for (const std::string& key : keys) EXPECT_EQ(cache.load(key), payload_of(key));
  EXPECT_EQ(cache.load("empty"), std::vector<std::byte>{});
  EXPECT_FALSE(cache.load("other"));
  EXPECT_TRUE(cache.store("one", payload_of("another")));
  EXPECT_EQ(cache.load("one"), payload_of("another"));
  const KernelCache::Stats stats = cache.stats();
  EXPECT_EQ(stats.hits, 7);
  EXPECT_EQ(stats.misses, 1);
  EXPECT_EQ(stats.stored, 1);
  EXPECT_EQ(stats.rejected + stats.failed, 0);
}

TEST_F(KernelCacheTest, AVerdictStandsBesideThePayload) {
  constexpr std::string_view kNote = "chunks 4: T 1 0.0270 us\nparts: T 1 0.0350 us\n";
  std::string note;
  {
    KernelCache cache(settings());
    EXPECT_TRUE(cache.store("one", payload_of("one"), "llvm 1"));
    EXPECT_EQ(cache.load("one", "llvm 1", &note), payload_of("one"));
    EXPECT_EQ(note, "");
    EXPECT_TRUE(cache.store("one", payload_of("one"), "llvm 1", kNote));
  }
  KernelCache cache(settings());
  EXPECT_EQ(cache.load("one", "llvm 1", &note), payload_of("one"));
  EXPECT_EQ(note, kNote);
  EXPECT_TRUE(list_cache(cache_path()).entries[0].problem.empty());
  // Whole by its checksum, but no verdict: as good as none.
  EXPECT_TRUE(cache.store("one", payload_of("one"), "llvm 1", "fast enough"));
  EXPECT_THAT(list_cache(cache_path()).entries[0].problem, testing::HasSubstr("its times of a kernel"));
  EXPECT_FALSE(cache.load("one", "llvm 1"));
  EXPECT_EQ(cache.stats().rejected, 1);
  EXPECT_FALSE(std::filesystem::exists(entry_path("one")));
}

TEST_F(KernelCacheTest, WhatOnlyLooksChangesNothing) {
  KernelCache::Settings looking = settings();
  looking.only_looks = true;
  EXPECT_FALSE(KernelCache(looking).load("one"));
  EXPECT_FALSE(std::filesystem::exists(cache_path()));
  store("one");
  const auto before = std::filesystem::last_write_time(entry_path("one"));
  EXPECT_EQ(KernelCache(looking).load("one"), payload_of("one"));
  EXPECT_FALSE(KernelCache(looking).store("two", {}));
  EXPECT_EQ(std::filesystem::last_write_time(entry_path("one")), before);
  put_file(entry_path("one"), bytes_of("noise"));
  KernelCache cache(looking);
  EXPECT_FALSE(cache.load("one"));
  EXPECT_EQ(cache.stats().rejected, 1);
  EXPECT_TRUE(std::filesystem::exists(entry_path("one")));
}

TEST_F(KernelCacheTest, AnEntryIsOfTheCompilerThatMadeIt) {
  KernelCache cache(settings());
  EXPECT_TRUE(cache.store("one", payload_of("a"), "llvm 1"));
  EXPECT_EQ(cache.load("one", "llvm 1"), payload_of("a"));
  EXPECT_EQ(cache.load("one"), payload_of("a"));
  EXPECT_FALSE(cache.load("one", "llvm 2"));
  EXPECT_FALSE(cache.load("one", "llvm"));
  EXPECT_TRUE(cache.store("one", payload_of("b"), "llvm 2"));
  EXPECT_EQ(cache.load("one", "llvm 2"), payload_of("b"));
  EXPECT_FALSE(cache.load("one", "llvm 1"));
  EXPECT_TRUE(cache.store("two", payload_of("c")));  // nobody said
  EXPECT_FALSE(cache.load("two", "llvm 1"));
  EXPECT_EQ(cache.stats().misses, 4);
  EXPECT_EQ(cache.stats().rejected, 0);
  const CacheListing listing = list_cache(cache_path());
  ASSERT_EQ(listing.entries.size(), 2u);
  EXPECT_EQ(listing.entries[0].compiler, "llvm 2");
}

TEST_F(KernelCacheTest, OnlyTheOwnerMayReadOrWriteWhatItMakes) {
  const mode_t before = umask(0);
  {
    KernelCache cache({.directory = cache_path() + "/a/b"});
    EXPECT_TRUE(cache.store("one", payload_of("one")));
  }
  umask(before);
  for (const std::string& path : {cache_path(), cache_path() + "/a", cache_path() + "/a/b"})
    EXPECT_EQ(mode_of(path), 0700u);
  EXPECT_EQ(mode_of(cache_path() + "/a/b/" + entry_name("one")), 0600u);
}

TEST_F(KernelCacheTest, RejectsEveryDamageAndBuildsAnew) {
  KernelCache cache(settings());
  const std::vector<std::byte> small = payload_of("one", 20);
  ASSERT_TRUE(cache.store("one", small));
  ASSERT_TRUE(cache.store("two", payload_of("two", 20)));
  const std::vector<std::byte> good = file_bytes(entry_path("one"));
  int64_t tried = 0;
  for_each_damage(good, file_bytes(entry_path("two")),
                  [&](const std::vector<std::byte>& damaged, const std::string& how) {
                    put_file(entry_path("one"), damaged);
                    ASSERT_FALSE(cache.load("one")) << how;
                    ASSERT_EQ(cache.stats().rejected, ++tried) << how;
                    ASSERT_FALSE(std::filesystem::exists(entry_path("one"))) << how;
                    ASSERT_TRUE(cache.store("one", small)) << how;
                    ASSERT_EQ(cache.load("one"), small) << how;
                  });
  EXPECT_GT(tried, static_cast<int64_t>(9 * good.size()));
  EXPECT_EQ(cache.stats().hits, tried);
  EXPECT_EQ(cache.load("two"), payload_of("two", 20));
}

// A whole and right entry, in a file that another user could have written.
TEST_F(KernelCacheTest, RejectsEntriesThatOthersMayHaveWritten) {
  KernelCache cache(settings());
  const std::vector<std::function<void(const std::string&)>> ways = {
      [](const std::string& path) { ASSERT_EQ(chmod(path.c_str(), 0620), 0); },
      [](const std::string& path) { ASSERT_EQ(chmod(path.c_str(), 0602), 0); },
      [](const std::string& path) {
        std::filesystem::rename(path, path + ".real");
        std::filesystem::create_symlink(path + ".real", path);
      },
      [](const std::string& path) {
        std::filesystem::remove(path);
        ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
      },
      [](const std::string& path) {
        if (geteuid() == 0)
          ASSERT_EQ(chown(path.c_str(), kNobody, static_cast<gid_t>(-1)), 0);
        else
          ASSERT_EQ(chmod(path.c_str(), 0666), 0);  // only root gives files away
      },
  };
  int64_t tried = 0;
  for (const auto& spoil : ways) {
    ASSERT_TRUE(cache.store("one", payload_of("one")));
    spoil(entry_path("one"));
    EXPECT_FALSE(cache.load("one"));
    EXPECT_EQ(cache.stats().rejected, ++tried);
    struct stat info {};
    EXPECT_NE(lstat(entry_path("one").c_str(), &info), 0) << tried;
  }
  // Readable for all is no harm.
  ASSERT_TRUE(cache.store("one", payload_of("one")));
  ASSERT_EQ(chmod(entry_path("one").c_str(), 0644), 0);
  EXPECT_TRUE(cache.load("one"));
}

TEST_F(KernelCacheTest, StrangeFilesUnderAnEntrysNameCostOnlyThatEntry) {
  store("other");
  std::filesystem::create_directory(entry_path("folder"));
  put_file(entry_path("large"), {});
  std::filesystem::resize_file(entry_path("large"), uint64_t{1} << 40);  // takes no room, and no memory
  KernelCache cache(settings());
  EXPECT_FALSE(cache.load("folder"));
  EXPECT_FALSE(cache.store("folder", payload_of("folder")));
  EXPECT_FALSE(cache.load("large"));
  EXPECT_EQ(cache.stats().rejected, 2);
  EXPECT_EQ(cache.stats().failed, 1);
  EXPECT_TRUE(one_line(cache.warning()));
  EXPECT_EQ(cache.load("other"), payload_of("other"));
  EXPECT_EQ(names_in(cache_path()).size(), 2u);  // no part is left
}

TEST_F(KernelCacheTest, ADirectoryThatOthersMayWriteToIsNotUsed) {
  store("one");
  const auto refused = [&](const std::string& why) {
    KernelCache cache(settings());
    EXPECT_FALSE(cache.load("one"));
    EXPECT_FALSE(cache.store("two", payload_of("two")));
    EXPECT_THAT(cache.warning(), AllOf(HasSubstr(why), HasSubstr("chmod 700"), HasSubstr(cache_path())));
    EXPECT_TRUE(one_line(cache.warning()));
    EXPECT_EQ(cache.stats().misses, 1);
    EXPECT_EQ(names_in(cache_path()), std::vector<std::string>{entry_name("one")});
    EXPECT_EQ(list_cache(cache_path()).warning, cache.warning());
  };
  for (const mode_t mode : {0770, 0707, 0777, 01777}) {
    ASSERT_EQ(chmod(cache_path().c_str(), mode), 0);
    refused("may be written by others");
  }
  ASSERT_EQ(chmod(cache_path().c_str(), 0755), 0);
  EXPECT_TRUE(KernelCache(settings()).load("one"));
  if (geteuid() == 0) {
    ASSERT_EQ(chown(cache_path().c_str(), kNobody, static_cast<gid_t>(-1)), 0);
    refused("belongs to another user (number 65534)");
  } else {
    EXPECT_THAT(KernelCache({.directory = "/"}).warning(), HasSubstr("belongs to another user (number 0)"));
  }
}

TEST_F(KernelCacheTest, ADirectoryThatCannotBeMadeIsSaid) {
  put_file(folder_.path("file"), bytes_of("text"));
  for (const std::string& path : {folder_.path("file"), folder_.path("file/below/it")}) {
    KernelCache cache({.directory = path});
    EXPECT_THAT(cache.warning(), AllOf(HasSubstr(path), HasSubstr("Not a directory"), HasSubstr("or off")));
    EXPECT_TRUE(one_line(cache.warning()));
    EXPECT_FALSE(cache.load("one"));
    EXPECT_FALSE(cache.store("one", payload_of("one")));
  }
  EXPECT_EQ(file_bytes(folder_.path("file")), bytes_of("text"));
  EXPECT_THAT(KernelCache({.directory = folder_.path(std::string(5000, 'x'))}).warning(),
              HasSubstr("too long"));
  EXPECT_THAT(KernelCache({.directory = "/proc/reprise/kernels"}).warning(), HasSubstr("cannot be used"));
}

TEST_F(KernelCacheTest, AReadOnlyDirectoryIsReadAndSaid) {
  store("one");
  ASSERT_EQ(chmod(cache_path().c_str(), 0500), 0);
  EXPECT_EQ(
      code_as_plain_user(folder_.path(),
                         [&] {
                           KernelCache cache(settings());
                           const std::string warning = cache.warning();
                           if (!one_line(warning)) return 1;
                           if (warning.find("cannot be written (Permission denied)") == std::string::npos)
                             return 2;
                           if (cache.load("one") != payload_of("one")) return 3;
                           if (cache.store("two", payload_of("two"))) return 4;
                           if (cache.stats().failed != 1) return 5;
                           return cache.warning() == warning ? 0 : 6;
                         }),
      0);
  // One that can't be listed or entered, and one that can't be made.
  ASSERT_EQ(chmod(cache_path().c_str(), 0000), 0);
  EXPECT_EQ(code_as_plain_user(
                folder_.path(),
                [&] {
                  KernelCache cache(settings());
                  return one_line(cache.warning()) && !cache.load("one") && !cache.store("two", {}) ? 0 : 1;
                }),
            0);
  ASSERT_EQ(chmod(cache_path().c_str(), 0500), 0);
  EXPECT_EQ(code_as_plain_user(folder_.path(),
                               [&] {
                                 const KernelCache cache({.directory = cache_path() + "/below"});
                                 return one_line(cache.warning()) ? 0 : 1;
                               }),
            0);
  ASSERT_EQ(chmod(cache_path().c_str(), 0700), 0);
}

// A limit on the size of files gives short writes and then errors, as a full disk does.
TEST_F(KernelCacheTest, AFullDiskCostsOnlyTheEntry) {
  store("small", 100);
  KernelCache cache(settings());
  ASSERT_TRUE(cache.store("large", payload_of("large", 500)));
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit tight = before;
  tight.rlim_cur = 1000;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &tight), 0);
  EXPECT_FALSE(cache.store("large", payload_of("new", 5000)));
  EXPECT_FALSE(cache.store("larger", payload_of("larger", 5000)));
  EXPECT_TRUE(cache.store("tiny", payload_of("tiny", 10)));
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, SIG_DFL);
  EXPECT_EQ(cache.stats().failed, 2);
  EXPECT_THAT(cache.warning(), AllOf(HasSubstr("File too large"), HasSubstr("free space")));
  EXPECT_TRUE(one_line(cache.warning()));
  EXPECT_EQ(names_in(cache_path()).size(), 3u);  // no part is left
  EXPECT_EQ(cache.load("large"), payload_of("large", 500));
  EXPECT_TRUE(cache.store("larger", payload_of("larger", 5000)));
}

TEST_F(KernelCacheTest, TheLeastRecentlyUsedGoFirst) {
  const size_t one = 1000, entry = one + 100;
  for (int i = 0; i < 10; ++i) {
    store("key" + std::to_string(i), one);
    set_age(entry_path("key" + std::to_string(i)), 1000 - i);
  }
  KernelCache cache(settings(10 * entry));
  EXPECT_TRUE(cache.load("key0"));  // used now
  ASSERT_TRUE(cache.store("new0", payload_of("new0", one)));
  ASSERT_TRUE(cache.store("new1", payload_of("new1", one)));
  EXPECT_TRUE(cache.load("key0"));
  EXPECT_TRUE(cache.load("key9"));
  EXPECT_TRUE(cache.load("new0"));
  EXPECT_TRUE(cache.load("new1"));
  EXPECT_FALSE(cache.load("key1"));
  for (int i = 0; i < 100; ++i) {
    const std::string key = "more" + std::to_string(i);
    ASSERT_TRUE(cache.store(key, payload_of(key, one)));
    ASSERT_EQ(cache.load(key), payload_of(key, one)) << "the one just written is gone";
    uint64_t bytes = 0;
    for (const CacheListing::Entry& each : list_cache(cache_path()).entries) bytes += each.bytes;
    ASSERT_LE(bytes, 10 * entry);
    ASSERT_GE(bytes, 8 * one) << "more is deleted than needed";
  }
  // Neither where the clock was set back, so that all others look younger.
  for (const std::string& name : names_in(cache_path())) set_age(cache_path() + "/" + name, -5000);
  for (const char* key : {"late0", "late1", "late2"}) {
    ASSERT_TRUE(cache.store(key, payload_of(key, one)));
    EXPECT_EQ(cache.load(key), payload_of(key, one)) << key;
  }
  // One that would fill it alone is not stored, and takes nobody's place.
  const size_t before = names_in(cache_path()).size();
  EXPECT_FALSE(cache.store("huge", payload_of("huge", 11 * entry)));
  EXPECT_EQ(names_in(cache_path()).size(), before);
  EXPECT_TRUE(one_line(cache.warning()));
}

TEST_F(KernelCacheTest, WhatACrashLeftBehindIsSwept) {
  store("one");
  const std::string left = entry_name("one") + ".0123456789abcdef.part";
  const std::string young = entry_name("two") + ".0123456789abcdef.part";
  const std::vector<std::string> others = {"notes.part", "x" + left, left + "x", "README",
                                           entry_name("one") + ".part"};
  for (const std::string& name : others) put_file(cache_path() + "/" + name, {});
  for (const std::string& name : {left, young}) put_file(cache_path() + "/" + name, {});
  for (const std::string& name : others) set_age(cache_path() + "/" + name, 100000);
  set_age(cache_path() + "/" + left, 700);
  set_age(cache_path() + "/" + young, 300);
  KernelCache cache(settings());
  EXPECT_TRUE(cache.load("one"));
  EXPECT_TRUE(
      std::filesystem::exists(cache_path() + "/" + left));  // a start that stores nothing looks for nothing
  ASSERT_TRUE(cache.store("two", {}));
  EXPECT_FALSE(std::filesystem::exists(cache_path() + "/" + left));
  EXPECT_TRUE(std::filesystem::exists(cache_path() + "/" + young));
  EXPECT_EQ(clear_cache(cache_path()).removed, 2);
  for (const std::string& name : others)
    EXPECT_TRUE(std::filesystem::exists(cache_path() + "/" + name)) << name;
  EXPECT_EQ(names_in(cache_path()).size(), others.size() + 1);
}

TEST_F(KernelCacheTest, ADirectoryThatIsRemovedMeanwhileIsMadeAgain) {
  KernelCache cache(settings());
  ASSERT_TRUE(cache.store("one", payload_of("one")));
  std::filesystem::remove_all(cache_path());
  EXPECT_FALSE(cache.load("one"));
  EXPECT_TRUE(cache.store("one", payload_of("one")));
  EXPECT_EQ(cache.load("one"), payload_of("one"));
  std::filesystem::remove_all(cache_path());
  put_file(cache_path(), {});
  EXPECT_FALSE(cache.store("one", payload_of("one")));
  EXPECT_FALSE(cache.load("one"));
  EXPECT_TRUE(one_line(cache.warning()));
}

TEST_F(KernelCacheTest, ThreadsShareOne) {
  KernelCache cache(settings());
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        const std::string key = "key" + std::to_string(i % 7);
        EXPECT_TRUE(cache.store(key, payload_of(key)));
        EXPECT_EQ(cache.load(key), payload_of(key));
        EXPECT_EQ(cache.warning(), "");
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(cache.stats().hits, 200);
  EXPECT_EQ(cache.stats().stored, 200);
}

// Eight processes do the same work at once; returns how many loads found something.
int share_directory(const KernelCache::Settings& settings) {
  std::array<pid_t, 8> children{};
  for (pid_t& child : children)
    child = start([&] {
      KernelCache cache(settings);
      for (int i = 0; i < 300; ++i) {
        const std::string key = "key" + std::to_string(i % 12);
        if (const auto found = cache.load(key); found && *found != payload_of(key)) return 1;
        if (i < 12 || i % 3 == 0)
          if (!cache.store(key, payload_of(key))) return 2;
      }
      const KernelCache::Stats stats = cache.stats();
      if (stats.rejected != 0 || stats.failed != 0 || !cache.warning().empty()) return 3;
      return stats.hits > 0 ? 0 : 4;
    });
  int failures = 0;
  for (const pid_t child : children)
    if (const int code = code_of(child); code != 0) {
      ++failures;
      ADD_FAILURE() << "a process ended with " << code;
    }
  return failures;
}

TEST_F(KernelCacheTest, ProcessesShareADirectory) {
  ASSERT_EQ(share_directory(settings()), 0);
  KernelCache cache(settings());
  for (int i = 0; i < 12; ++i) {
    const std::string key = "key" + std::to_string(i);
    EXPECT_EQ(cache.load(key), payload_of(key));
  }
  EXPECT_EQ(names_in(cache_path()).size(), 12u);
}

TEST_F(KernelCacheTest, AnotherProcessMayClearItMeanwhile) {
  KernelCache(settings()).store("first", {});
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t clearing = start([&] {
    close(ends[1]);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    int64_t removed = 0;
    char byte;
    do {
      removed += clear_cache(cache_path()).removed;
    } while (read(ends[0], &byte, 1) < 0);  // until the parent closes its end
    return removed > 1 ? 0 : 1;
  });
  close(ends[0]);
  EXPECT_EQ(share_directory(settings()), 0);
  // The bound is kept by deleting too.
  EXPECT_EQ(share_directory(settings(20000)), 0);
  close(ends[1]);
  EXPECT_EQ(code_of(clearing), 0);
  for (const std::string& name : names_in(cache_path())) EXPECT_THAT(name, Not(HasSubstr("part")));
}

TEST_F(KernelCacheTest, AKilledWriterLeavesNothingWrong) {
  uint32_t random = 7;
  for (int kill_number = 0; kill_number < 20; ++kill_number) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t child = start([&] {
      KernelCache cache(settings());
      for (int i = 0;; ++i) {
        const std::string key = "key" + std::to_string(i % 10);
        if (!cache.store(key, payload_of(key, 200000))) return 1;
        if (i == 0 && write(ends[1], "", 1) != 1) return 2;
      }
    });
    close(ends[1]);
    char byte;
    ASSERT_EQ(read(ends[0], &byte, 1), 1);  // something is stored
    close(ends[0]);
    random = random * 1664525 + 1013904223;
    usleep((random >> 16) % 20000);
    ASSERT_EQ(kill(child, SIGKILL), 0);
    ASSERT_EQ(code_of(child), -1);  // and not by a failed store
    KernelCache cache(settings());
    for (int i = 0; i < 10; ++i) {
      const std::string key = "key" + std::to_string(i);
      const auto found = cache.load(key);
      ASSERT_TRUE(!found || *found == payload_of(key, 200000)) << key;
    }
    ASSERT_EQ(cache.stats().rejected, 0);
  }
  for (const std::string& name : names_in(cache_path())) set_age(cache_path() + "/" + name, 3600);
  KernelCache cache(settings());
  ASSERT_TRUE(cache.store("last", {}));
  for (const std::string& name : names_in(cache_path())) EXPECT_THAT(name, Not(HasSubstr("part")));
  for (const CacheListing::Entry& entry : list_cache(cache_path()).entries) EXPECT_EQ(entry.problem, "");
  EXPECT_GE(names_in(cache_path()).size(), 2u);
}

TEST_F(KernelCacheTest, ListsChecksAndClears) {
  EXPECT_TRUE(list_cache(cache_path()).entries.empty());  // it does not exist yet
  EXPECT_EQ(clear_cache(cache_path()).removed, 0);
  EXPECT_FALSE(std::filesystem::exists(cache_path()));
  store("old\nsecond line", 1000);
  store("da\tmaged", 1000);
  store("new", 1000);
  set_age(entry_path("old\nsecond line"), 5000);
  set_age(entry_path("da\tmaged"), 3000);
  set_age(entry_path("new"), 1000);

  CacheListing listing = list_cache(cache_path());
  EXPECT_EQ(listing.directory, cache_path());
  EXPECT_EQ(listing.warning, "");
  ASSERT_EQ(listing.entries.size(), 3u);
  EXPECT_EQ(listing.entries[0].key, "old");
  EXPECT_EQ(listing.entries[1].key, "da?maged");
  EXPECT_EQ(listing.entries[2].file, entry_name("new"));
  EXPECT_EQ(listing.entries[2].bytes, std::filesystem::file_size(entry_path("new")));
  EXPECT_NEAR(listing.entries[2].idle_s, 1000, 100);
  EXPECT_NEAR(list_cache(cache_path()).entries[0].idle_s, 5000, 100);  // looking is no use
  for (const CacheListing::Entry& entry : listing.entries) EXPECT_EQ(entry.problem, "");

  std::filesystem::resize_file(entry_path("da\tmaged"), 500);
  set_age(entry_path("da\tmaged"), 3000);
  ASSERT_EQ(chmod(entry_path("new").c_str(), 0666), 0);
  listing = list_cache(cache_path());
  ASSERT_EQ(listing.entries.size(), 3u);
  EXPECT_EQ(listing.entries[0].problem, "");
  EXPECT_THAT(listing.entries[1].problem, HasSubstr("cut or damaged"));
  EXPECT_THAT(listing.entries[2].problem, HasSubstr("may be written by others"));
  CacheRemoval removal = remove_damaged(cache_path());
  EXPECT_EQ(removal.removed, 2);
  EXPECT_EQ(removal.left, 1);
  EXPECT_TRUE(KernelCache(settings()).load("old\nsecond line"));

  for (int i = 0; i < 9; ++i) store("key" + std::to_string(i), 1000);
  set_age(entry_path("key8"), 9000);
  const uint64_t entry = std::filesystem::file_size(entry_path("key0"));
  removal = clear_cache(cache_path(), 5 * entry);
  EXPECT_LE(removal.left_bytes, 5 * entry);
  EXPECT_EQ(removal.left + removal.removed, 10);
  EXPECT_GE(removal.left, 4);
  EXPECT_FALSE(std::filesystem::exists(entry_path("key8")));
  EXPECT_EQ(static_cast<int64_t>(names_in(cache_path()).size()), removal.left);
  EXPECT_EQ(clear_cache(cache_path()).left, 0);
  EXPECT_TRUE(names_in(cache_path()).empty());

  put_file(folder_.path("file"), {});
  EXPECT_THROW(list_cache(folder_.path("file")), Error);
  EXPECT_THROW(clear_cache(folder_.path("file")), Error);
  EXPECT_THROW(list_cache("off"), Error);
}

TEST_F(KernelCacheTest, SaysWhatItMayNotDelete) {
  store("one");
  ASSERT_EQ(chmod(cache_path().c_str(), 0500), 0);
  EXPECT_EQ(
      code_as_plain_user(folder_.path(),
                         [&] {
                           try {
                             clear_cache(cache_path());
                             return 1;
                           } catch (const Error& e) {
                             return std::string(e.what()).find("cannot delete") != std::string::npos ? 0 : 2;
                           }
                         }),
      0);
  ASSERT_EQ(chmod(cache_path().c_str(), 0700), 0);
}

// The variables that say where the cache lies; all are unset at first and as before at the end.
class KernelCachePlace : public testing::Test {
 protected:
  static constexpr const char* kNames[] = {"REPRISE_COMPILE_CACHE", "XDG_CACHE_HOME", "HOME"};
  void SetUp() override {
    for (const char* name : kNames) {
      const char* value = std::getenv(name);
      before_.emplace_back(value == nullptr ? std::nullopt : std::optional<std::string>(value));
      unsetenv(name);
    }
  }
  void TearDown() override {
    for (size_t i = 0; i < before_.size(); ++i)
      before_[i] ? setenv(kNames[i], before_[i]->c_str(), 1) : unsetenv(kNames[i]);
  }
  std::vector<std::optional<std::string>> before_;
};

TEST_F(KernelCachePlace, IsTheFirstThatIsGiven) {
  EXPECT_EQ(find_cache_place("").path, "");
  EXPECT_FALSE(find_cache_place("").off);
  setenv("HOME", "relative", 1);
  EXPECT_EQ(find_cache_place("").path, "");
  setenv("HOME", "/home/user", 1);
  EXPECT_EQ(find_cache_place("").path, "/home/user/.cache/reprise/kernels");
  for (const char* none : {"", "relative"}) {
    setenv("XDG_CACHE_HOME", none, 1);
    EXPECT_EQ(find_cache_place("").path, "/home/user/.cache/reprise/kernels");
  }
  setenv("XDG_CACHE_HOME", "/cache", 1);
  EXPECT_EQ(find_cache_place("").path, "/cache/reprise/kernels");
  setenv("REPRISE_COMPILE_CACHE", "", 1);
  EXPECT_EQ(find_cache_place("").path, "/cache/reprise/kernels");
  setenv("REPRISE_COMPILE_CACHE", "off", 1);
  EXPECT_TRUE(find_cache_place("").off);
  setenv("REPRISE_COMPILE_CACHE", "variable", 1);
  EXPECT_EQ(find_cache_place("").path, "variable");
  EXPECT_EQ(find_cache_place("given").path, "given");
  EXPECT_TRUE(find_cache_place("off").off);
}

TEST_F(KernelCachePlace, WithoutOneItServesAllTheSame) {
  KernelCache homeless({});
  EXPECT_THAT(homeless.warning(), AllOf(HasSubstr("HOME"), HasSubstr("name a directory, or off")));
  EXPECT_TRUE(one_line(homeless.warning()));
  EXPECT_THROW(list_cache(""), Error);
  KernelCache off({.directory = "off"});
  EXPECT_EQ(off.warning(), "");
  EXPECT_EQ(off.directory(), "");
  for (KernelCache* cache : {&homeless, &off}) {
    EXPECT_FALSE(cache->load("one"));
    EXPECT_FALSE(cache->store("one", {}));
    EXPECT_EQ(cache->stats().misses, 1);
    EXPECT_EQ(cache->stats().failed, 0);
  }
}

TEST_F(KernelCachePlace, TheUsualPlaceIsMade) {
  const TemporaryFolder home;
  setenv("HOME", home.path().c_str(), 1);
  KernelCache cache({});
  EXPECT_EQ(cache.warning(), "");
  EXPECT_TRUE(cache.store("one", {}));
  EXPECT_EQ(names_in(home.path(".cache/reprise/kernels")).size(), 1u);
  EXPECT_EQ(list_cache("").entries.size(), 1u);
}

}  // namespace
}  // namespace reprise::codegen
