# cmake -DOUTPUT=FILE -DROOT=FOLDER -DFILES="a.html;b.css" -P embed_files.cmake: writes a C++ file that defines
# page_files() (src/server/page/page_files.h), the bytes of these files.
set(arrays "")
set(list "")
foreach(name ${FILES})
  file(READ "${ROOT}/${name}" bytes HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," bytes "${bytes}")
  string(MAKE_C_IDENTIFIER "k_${name}" id)
  string(APPEND arrays "constexpr char ${id}[] = {${bytes}};\n")
  string(APPEND list "    {\"${name}\", {${id}, sizeof(${id})}},\n")
endforeach()
file(CONFIGURE OUTPUT "${OUTPUT}" CONTENT [[
#include "server/page/page_files.h"

namespace reprise::server {
namespace {

@arrays@
constexpr PageFile kPageFiles[] = {
@list@};

}  // namespace

std::span<const PageFile> page_files() {
  return kPageFiles;
}

}  // namespace reprise::server
]] @ONLY)
