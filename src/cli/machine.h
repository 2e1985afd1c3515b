// What machine this is, for reports.
#pragma once

#include <cstddef>
#include <string>

namespace reprise::cli {

std::string cpu_name();        // "AMD EPYC ..." of /proc/cpuinfo
size_t memory_bytes();         // of the machine
size_t peak_rss_bytes();       // of this process
size_t rss_bytes();            // of it, now
std::string kernel_release();  // "Linux 6.1.0"

}  // namespace reprise::cli
