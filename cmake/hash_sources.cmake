# cmake -DOUTPUT=FILE -DROOT=FOLDER -DSOURCES="A;B" -P hash_sources.cmake: writes a C++ file that defines
# build_id() (src/codegen/build_id.h), the hash of these files and their names.
set(all "")
foreach(source ${SOURCES})
  file(SHA256 "${ROOT}/${source}" hash)
  string(APPEND all "${source} ${hash}\n")
endforeach()
string(SHA256 id "${all}")
string(SUBSTRING ${id} 0 32 id)
file(CONFIGURE OUTPUT "${OUTPUT}" CONTENT [[
#include "codegen/build_id.h"

namespace reprise::codegen {

std::string_view build_id() {
  return "@id@";
}

}  // namespace reprise::codegen
]] @ONLY)
