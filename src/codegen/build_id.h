// Which compiler made a kernel, as far as our own part of it goes.
#pragma once

#include <string_view>

namespace reprise::codegen {

// A hash (hexadecimal) of the sources that machine code depends on: two builds with the same id make the same
// code of the same program with the same LLVM. Made when the library is built (src/codegen/CMakeLists.txt).
std::string_view build_id();

}  // namespace reprise::codegen
