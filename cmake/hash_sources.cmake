# cmake -DOUTPUT=FILE -DROOT=FOLDER -DBUILD="A;B" -DKERNELS="C;D" -P hash_sources.cmake: writes a C++ file that defines
# build_id() and kernels_id() (src/codegen/build_id.h), the hashes of these files and their names.
function(hash_of result)
  set(all "")
  foreach(source ${ARGN})
    file(SHA256 "${ROOT}/${source}" hash)
    string(APPEND all "${source} ${hash}\n")
  endforeach()
  string(SHA256 id "${all}")
  string(SUBSTRING ${id} 0 32 id)
  set(${result} ${id} PARENT_SCOPE)
endfunction()
hash_of(build ${BUILD})
hash_of(kernels ${KERNELS})
file(CONFIGURE OUTPUT "${OUTPUT}" CONTENT [[
#include "codegen/build_id.h"

namespace reprise::codegen {

std::string_view build_id() {
  return "@build@";
}

std::string_view kernels_id() {
  return "@kernels@";
}

}  // namespace reprise::codegen
]] @ONLY)
