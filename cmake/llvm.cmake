# LLVM 19 makes machine code of fused kernels (graph_opt_level 2), in a program of its own, reprise-compiler.
# Without it all else is built, and level 2 is served from a cache or an artefact.
set(REPRISE_LLVM AUTO CACHE STRING "Build reprise-compiler, by LLVM 19: AUTO (where it is found), ON or OFF")
set_property(CACHE REPRISE_LLVM PROPERTY STRINGS AUTO ON OFF)
set(REPRISE_HAVE_LLVM OFF)
set(REPRISE_LLVM_NAME "")  # as reprise-compiler says it
if(NOT REPRISE_LLVM STREQUAL "OFF" AND CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  find_package(LLVM 19.1 CONFIG QUIET)  # 19 alone would ask for 19.0
  if(LLVM_FOUND AND TARGET LLVM)
    set(REPRISE_HAVE_LLVM ON)
    set(REPRISE_LLVM_NAME "llvm ${LLVM_VERSION_MAJOR}.${LLVM_VERSION_MINOR}.${LLVM_VERSION_PATCH}")
    message(STATUS "reprise-compiler: by LLVM ${LLVM_PACKAGE_VERSION}")
  elseif(REPRISE_LLVM STREQUAL "ON")
    message(FATAL_ERROR "REPRISE_LLVM=ON, but LLVM 19 was not found: "
                        "apt-get install llvm-19-dev zlib1g-dev libzstd-dev, or -DREPRISE_LLVM=OFF")
  else()
    message(STATUS "reprise-compiler: not built, LLVM 19 was not found (llvm-19-dev zlib1g-dev libzstd-dev)")
  endif()
endif()
