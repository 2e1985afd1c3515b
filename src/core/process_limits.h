// What this process may use of the machine: memory and CPUs, as bounded by the control groups (cgroups,
// versions 1 and 2) that it is in, by its resource limits (`ulimit`) and by its CPU affinity. A container is
// a cgroup.
//
// Every group from the process's own up to the top of what is mounted is looked at, and the tightest limit
// counts. A file that is missing or malformed limits nothing. The groups are found through /proc/self/cgroup
// and /proc/self/mountinfo, and at the usual places below /sys/fs/cgroup as well.
//
// `root` is put before the path of each file that is read, for tests; resource limits and affinity are always
// the real ones. Nothing is cached: files are read anew by each call. Any thread. Throws nothing but
// std::bad_alloc.
#pragma once

#include <cstddef>
#include <string>

namespace reprise {

// Bytes that this process may still allocate, 0 where it is at a limit: the smallest of
//  - what the kernel calls available (MemAvailable of /proc/meminfo);
//  - for each cgroup, its limit (memory.max and memory.high; memory.limit_in_bytes in version 1) less what is
//    used, where page cache of files (inactive_file and active_file of memory.stat) does not count as used:
//    the kernel gives it back before it refuses memory, as MemAvailable assumes too;
//  - what `ulimit -v` (RLIMIT_AS) and `ulimit -d` (RLIMIT_DATA) leave.
// 1 GiB where none of them says anything.
size_t available_memory(const std::string& root = "");

// CPU time that the cgroups grant per unit of time, in CPUs (1.5: one and a half); infinity without a quota.
// cpu.max, or cpu.cfs_quota_us and cpu.cfs_period_us in version 1.
double cpu_quota(const std::string& root = "");

inline constexpr int kMostThreads = 1024;  // largest size of a thread team

// The default number of threads: the logical CPUs of the calling thread's affinity mask, at most the CPU
// quota rounded up (1.5 CPUs: 2 threads, or half a CPU would never be used). 1 to kMostThreads.
int usable_cores(const std::string& root = "");

}  // namespace reprise
