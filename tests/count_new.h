// Counts heap allocations of a test program that links count_new.cc, which replaces operator new.
#pragma once

#include <cstdint>

namespace reprise {

int64_t allocations();  // so far, of all threads

}  // namespace reprise
