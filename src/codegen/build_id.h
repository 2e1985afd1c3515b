// Which sources made a kernel and what it was timed beside. Made when the library is built
// (src/codegen/CMakeLists.txt).
#pragma once

#include <string_view>

namespace reprise::codegen {

// A hash (hexadecimal) of the sources that machine code depends on: two builds with the same id make the same
// code of the same program with the same LLVM.
std::string_view build_id();

// The same of the sources that its times depend on: the kernels written by hand, and what launches and times them.
std::string_view kernels_id();

}  // namespace reprise::codegen
