// Memory and CPUs as the files of a made-up root say: cgroups of both versions, nested, seen from a
// namespace, missing and malformed.
#include "core/process_limits.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "core/thread_team.h"

namespace reprise {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

class ProcessLimits : public testing::Test {
 protected:
  ProcessLimits() {
    root_ = testing::TempDir() + "process_limits_" + std::to_string(getpid()) + "_" +
            testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(root_);
    write("/proc/meminfo", "MemTotal: 67108864 kB\nMemAvailable:   33554432 kB\n");  // 32 GiB
  }
  ~ProcessLimits() override { std::filesystem::remove_all(root_); }

  void write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }
  void write_mib(const std::string& path, size_t mib) { write(path, std::to_string(mib * kMiB) + "\n"); }

  // A group of version 2; 0: "max".
  void group_v2(const std::string& path, size_t max_mib, size_t current_mib, size_t inactive_mib = 0,
                size_t active_mib = 0) {
    write(path + "/memory.max", max_mib == 0 ? "max\n" : std::to_string(max_mib * kMiB) + "\n");
    write_mib(path + "/memory.current", current_mib);
    write(path + "/memory.stat", "anon 4096\nfile 8192\ninactive_anon 999999999999\nactive_file " +
                                     std::to_string(active_mib * kMiB) + "\ninactive_file " +
                                     std::to_string(inactive_mib * kMiB) + "\nslab 77\n");
  }
  void group_v1(const std::string& path, size_t limit_mib, size_t usage_mib, size_t inactive_mib = 0) {
    write_mib(path + "/memory.limit_in_bytes", limit_mib);
    write_mib(path + "/memory.usage_in_bytes", usage_mib);
    write(path + "/memory.stat", "inactive_file 5\ntotal_inactive_file " +
                                     std::to_string(inactive_mib * kMiB) + "\ntotal_active_file 0\n");
  }
  void in_v2(const std::string& group, const std::string& mounted = "/") {
    write("/proc/self/cgroup", "0::" + group + "\n");
    write("/proc/self/mountinfo", "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n31 22 0:27 " + mounted +
                                      " /sys/fs/cgroup ro,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n");
  }
  void in_v1(const std::string& group, const std::string& mounted = "/") {
    write("/proc/self/cgroup", "5:memory:" + group + "\n3:cpu,cpuacct:" + group + "\n1:name=systemd:/init\n");
    write("/proc/self/mountinfo",
          "31 22 0:27 " + mounted + " /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n32 22 0:28 " +
              mounted + " /sys/fs/cgroup/cpu,cpuacct rw shared:4 - cgroup cgroup rw,cpu,cpuacct\n");
  }
  size_t available_mib() const { return available_memory(root_) / kMiB; }

  std::string root_;
};

TEST_F(ProcessLimits, TheMachineAlone) {
  EXPECT_EQ(available_mib(), 32768u);
  write("/proc/meminfo", "MemFree: 1024 kB\nBuffers: 2048 kB\nCached: 4096 kB\nSwapCached: 9 kB\n");
  EXPECT_EQ(available_mib(), 7u);
  for (const char* text :
       {"", "MemAvailable: many kB\n", "MemAvailable:\n", "MemAvailableX: 5 kB\n",
        "MemAvailable: 99999999999999999999999 kB\n", "MemAvailable: 18446744073709551615 kB"}) {
    write("/proc/meminfo", text);
    EXPECT_EQ(available_mib(), 1024u) << text;
  }
}

// The case of a container whose page cache is full of the checkpoint.
TEST_F(ProcessLimits, PageCacheDoesNotCountAsUsed) {
  in_v2("/");
  group_v2("/sys/fs/cgroup", 4096, 3993, 3700);
  EXPECT_EQ(available_mib(), 4096u - 293);
  group_v2("/sys/fs/cgroup", 4096, 3993, 3000, 700);
  EXPECT_EQ(available_mib(), 4096u - 293);
  group_v2("/sys/fs/cgroup", 4096, 3993);
  EXPECT_EQ(available_mib(), 103u);
  group_v2("/sys/fs/cgroup", 4096, 100,
           3700);  // more cache than is used: numbers that were read one after the other
  EXPECT_EQ(available_mib(), 4096u);
  group_v2("/sys/fs/cgroup", 4096, 5000);
  EXPECT_EQ(available_mib(), 0u);
}

// Where /proc names no group at all, the usual places count.
TEST_F(ProcessLimits, FilesAtTheUsualPlaces) {
  group_v2("/sys/fs/cgroup", 4096, 3993, 3700);
  EXPECT_EQ(available_mib(), 4096u - 293);
  in_v1("/some/group");  // what /proc says, while something else was mounted over it
  EXPECT_EQ(available_mib(), 4096u - 293);
  group_v1("/sys/fs/cgroup/memory", 2048, 1048, 500);
  EXPECT_EQ(available_mib(), 1500u);
}

TEST_F(ProcessLimits, TheTightestOfNestedGroups) {
  in_v2("/user.slice/job.scope/inner");
  const std::string top = "/sys/fs/cgroup";
  group_v2(top + "/user.slice/job.scope/inner", 0, 10);
  EXPECT_EQ(available_mib(), 32768u);
  group_v2(top + "/user.slice", 8192, 7192, 192);
  EXPECT_EQ(available_mib(), 1192u);
  group_v2(top + "/user.slice/job.scope", 2048, 1500, 100);
  EXPECT_EQ(available_mib(), 648u);
  group_v2(top + "/user.slice/job.scope/inner", 600, 100);
  EXPECT_EQ(available_mib(), 500u);
  write_mib(top + "/user.slice/job.scope/inner/memory.high", 300);
  EXPECT_EQ(available_mib(), 200u);
  group_v2(top + "/user.slice/other", 1, 1);  // not ours
  EXPECT_EQ(available_mib(), 200u);
}

TEST_F(ProcessLimits, VersionOne) {
  in_v1("/docker/abc");
  const std::string group = "/sys/fs/cgroup/memory/docker/abc";
  group_v1(group, 4096, 3993, 3700);
  EXPECT_EQ(available_mib(), 4096u - 293);
  write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  write("/proc/meminfo", "");
  EXPECT_EQ(available_mib(), 4096u - 293);
  write(group + "/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(available_mib(), 1024u);  // nothing says anything
  write(group + "/memory.stat", "hierarchical_memory_limit " + std::to_string(5000 * kMiB) + "\n");
  EXPECT_EQ(available_mib(), 5000u - 3993);  // a group above that can't be seen
}

// What is mounted shows the container's group as its top, or /proc shows paths of another namespace.
TEST_F(ProcessLimits, GroupsSeenFromAContainer) {
  for (const auto& [group, mounted] :
       {std::pair("/docker/abc", "/docker/abc"), std::pair("/", "/"), std::pair("/../..", "/"),
        std::pair("/", "/.."), std::pair("/docker/abc", "/docker/ab"), std::pair("/x/../y", "/")}) {
    SCOPED_TRACE(std::string(group) + " " + mounted);
    in_v1(group, mounted);
    group_v1("/sys/fs/cgroup/memory", 3000, 1000);
    EXPECT_EQ(available_mib(), 2000u);
    std::filesystem::remove_all(root_ + "/sys");
    in_v2(group, mounted);
    group_v2("/sys/fs/cgroup", 3000, 1000);
    EXPECT_EQ(available_mib(), 2000u);
    std::filesystem::remove_all(root_ + "/sys");
  }
  in_v2("/docker/abc/worker", "/docker/abc");
  group_v2("/sys/fs/cgroup/worker", 500, 100);
  EXPECT_EQ(available_mib(), 400u);
}

// Version 2 without the memory controller beside a version 1 that has it; a blank in a mount point.
TEST_F(ProcessLimits, HybridHierarchiesAndOddMountPoints) {
  write("/proc/self/cgroup", "4:memory:/job\n0::/unified/job\n");
  write("/proc/self/mountinfo",
        "31 22 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
        "32 22 0:28 / /my\\040cgroups/memory rw shared:1 master:2 - cgroup cgroup rw,memory\n");
  write("/sys/fs/cgroup/unified/unified/job/cgroup.procs", "1\n");
  group_v1("/my cgroups/memory/job", 1000, 400);
  EXPECT_EQ(available_mib(), 600u);
}

TEST_F(ProcessLimits, MalformedFilesLimitNothing) {
  in_v2("/job");
  const std::string group = "/sys/fs/cgroup/job";
  for (const char* text : {"", "\n", "max", "-5", "x", "99999999999999999999999999"}) {
    SCOPED_TRACE(text);
    write(group + "/memory.max", text);
    write(group + "/cpu.max", text);
    EXPECT_EQ(available_mib(), 32768u);
    EXPECT_EQ(cpu_quota(root_), INFINITY);
  }
  write_mib(group + "/memory.max", 100);
  EXPECT_EQ(available_mib(), 100u) << "without memory.current nothing is known to be used";
  for (const char* text : {"garbage", ":", "::", "0::", "0:/", "\n\n", "1:memory"}) {
    write("/proc/self/cgroup", text);
    write("/proc/self/mountinfo",
          std::string(text) + " - cgroup2\n - cgroup2 a b\n1 2 3 / /x\\04 rw - cgroup2 c d\n");
    EXPECT_EQ(available_mib(), 32768u) << text;
  }
}

TEST_F(ProcessLimits, CpuQuota) {
  EXPECT_EQ(cpu_quota(root_), INFINITY);
  in_v2("/outer/inner");
  const std::string outer = "/sys/fs/cgroup/outer";
  write(outer + "/inner/cpu.max", "max 100000\n");
  EXPECT_EQ(cpu_quota(root_), INFINITY);
  write(outer + "/cpu.max", "150000 100000\n");
  EXPECT_EQ(cpu_quota(root_), 1.5);
  write(outer + "/inner/cpu.max", "25000 50000\n");
  EXPECT_EQ(cpu_quota(root_), 0.5);
  write(outer + "/inner/cpu.max", "70000\n");
  EXPECT_EQ(cpu_quota(root_), 0.7);
  write(outer + "/inner/cpu.max", "70000 0\n");
  EXPECT_EQ(cpu_quota(root_), 1.5);
  in_v1("/job");
  write("/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", "-1\n");
  write("/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cpu_quota(root_), INFINITY);
  write("/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", "250000\n");
  EXPECT_EQ(cpu_quota(root_), 2.5);
}

TEST_F(ProcessLimits, ThreadsRoundTheQuotaUpAndAreAtLeastOne) {
  const int all = usable_cores(root_);  // of the affinity mask
  EXPECT_GE(all, 1);
  in_v2("/");
  for (const auto& [quota, threads] :
       {std::pair("1000 100000", 1), std::pair("100000 100000", 1), std::pair("100001 100000", 2),
        std::pair("150000 100000", 2), std::pair("300000 100000", 3),
        std::pair("99999999999 1", kMostThreads)}) {
    write("/sys/fs/cgroup/cpu.max", quota);
    EXPECT_EQ(usable_cores(root_), std::min(all, threads)) << quota;
  }
}

#ifndef REPRISE_SANITIZED  // those map terabytes of addresses
// With `ulimit -v` no more is promised than can be mapped.
TEST_F(ProcessLimits, ResourceLimits) {
  for (const auto resource : {RLIMIT_AS, RLIMIT_DATA}) {
    rlimit before{};
    ASSERT_EQ(getrlimit(resource, &before), 0);
    rlimit tight = before;
    tight.rlim_cur = size_t{8} << 30;
    ASSERT_EQ(setrlimit(resource, &tight), 0);
    const size_t available = available_mib();
    tight.rlim_cur = kMiB;  // less than is used already
    ASSERT_EQ(setrlimit(resource, &tight), 0);
    const size_t nothing = available_mib();
    ASSERT_EQ(setrlimit(resource, &before), 0);
    EXPECT_LE(available, 8192u);
    EXPECT_GT(available, 4096u);
    EXPECT_EQ(nothing, 0u);
  }
}
#endif

}  // namespace
}  // namespace reprise
