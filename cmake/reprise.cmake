# The few CMake helpers of the project: one library a folder, one test program a folder.

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${CCACHE}")
endif()

# -O2 compiles in two thirds of -O3's time; folders whose loops gain from more ask for it (reprise_hot_loops).
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")
function(reprise_hot_loops name)
  target_compile_options(reprise_${name} PRIVATE $<$<CONFIG:Release>:-O3>)
endfunction()

# Numbers are a contract here (docs/architecture.md, "Numbers"): the compiler may neither contract a*b+c into an
# FMA nor reorder, on any file.
add_compile_options(-Wall -Wextra -ffp-contract=off -fno-omit-frame-pointer)
if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
  # gcc 12's own std::stable_sort calls get_temporary_buffer, which clang reports at our call; and -Wno- options for
  # gcc alone are no mistake.
  add_compile_options(-Wno-deprecated-declarations -Wno-unknown-warning-option)
endif()
if(REPRISE_WERROR)
  add_compile_options(-Werror)
endif()
# Releases check the bounds of C library calls and of the stack. Sanitizers check more, and do not go with the first.
# -U first: Ubuntu's gcc defines _FORTIFY_SOURCE by itself.
if(NOT REPRISE_SANITIZE)
  add_compile_options("$<$<CONFIG:Release>:-fstack-protector-strong;-U_FORTIFY_SOURCE;-D_FORTIFY_SOURCE=3>")
endif()
if(REPRISE_SANITIZE)
  add_compile_options(-fsanitize=${REPRISE_SANITIZE} -fno-sanitize-recover=all)
  add_compile_definitions(REPRISE_SANITIZED)  # tests of time and memory allow more there
  add_link_options(-fsanitize=${REPRISE_SANITIZE})
endif()

if(REPRISE_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)  # coverage in the libraries too: without it the fuzzer is blind
endif()

find_package(Threads REQUIRED)
find_package(fmt REQUIRED)

# Unity builds: files of one library are compiled several at a time, so that headers are read once for all of them. A
# file with options of its own, or with the property SKIP_UNITY_BUILD_INCLUSION, stays alone. Off, each file must include
# what it uses: the builds by clang are made that way. (Not by CMake's UNITY_BUILD: it names files by their absolute
# paths, with which ccache finds nothing in a second clone.)
option(REPRISE_UNITY "Compile the files of a library together" ON)
set(REPRISE_UNITY_FILES 14)
function(reprise_unity target)
  if(NOT REPRISE_UNITY)
    return()
  endif()
  get_target_property(sources ${target} SOURCES)
  set(text "")
  set(count 0)
  set(batch 0)
  foreach(source ${sources})
    get_source_file_property(alone ${source} SKIP_UNITY_BUILD_INCLUSION)
    get_source_file_property(options ${source} COMPILE_OPTIONS)
    if(alone OR options)
      continue()
    endif()
    set_source_files_properties(${source} PROPERTIES HEADER_FILE_ONLY ON)
    cmake_path(ABSOLUTE_PATH source)
    cmake_path(RELATIVE_PATH source BASE_DIRECTORY ${PROJECT_SOURCE_DIR}/src)
    string(APPEND text "#include \"${source}\"  // NOLINT(bugprone-suspicious-include)\n")
    math(EXPR count "${count} + 1")
    if(count EQUAL REPRISE_UNITY_FILES)
      reprise_unity_file(${target} ${batch} "${text}")
      set(text "")
      set(count 0)
      math(EXPR batch "${batch} + 1")
    endif()
  endforeach()
  if(count GREATER 0)
    reprise_unity_file(${target} ${batch} "${text}")
  endif()
  # Types of an unnamed namespace are fine in a .cc file, which gcc does not see that these are.
  target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
endfunction()
function(reprise_unity_file target batch text)
  set(file ${CMAKE_CURRENT_BINARY_DIR}/${target}_${batch}.cc)
  file(CONFIGURE OUTPUT ${file} CONTENT "${text}")
  target_sources(${target} PRIVATE ${file})
endfunction()

# reprise_library(core SOURCES a.cc b.cc DEPS fmt::fmt PRIVATE_DEPS x)  ->  target reprise_core
function(reprise_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;PRIVATE_DEPS" ${ARGN})
  set(target reprise_${name})
  add_library(${target} STATIC ${ARG_SOURCES})
  reprise_unity(${target})
  target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src>
                                              $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>)
  target_link_libraries(${target} PUBLIC ${ARG_DEPS} PRIVATE ${ARG_PRIVATE_DEPS})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${name})
  install(TARGETS ${target} EXPORT repriseTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
          INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
endfunction()
include(GNUInstallDirs)

# reprise_compile_only(name SOURCES a.cc DEPS x): what stands in another build for what this one has. Nothing links it: it
# is compiled so that every build sees that it still compiles.
function(reprise_compile_only name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_library(reprise_${name} OBJECT ${ARG_SOURCES})
  target_link_libraries(reprise_${name} PRIVATE ${ARG_DEPS})
endfunction()

# source_dir.h, for tests and benchmarks that read committed files.
set(REPRISE_GENERATED_DIR ${PROJECT_BINARY_DIR}/generated)
configure_file(${PROJECT_SOURCE_DIR}/tests/source_dir.h.in ${REPRISE_GENERATED_DIR}/source_dir.h @ONLY)

# Optimizing the tests' own code takes half of their compile under ASan; what they call is optimized all the same. Not
# those whose own loops take long (OPTIMIZED). No fuzzer runs them, so no coverage for one.
set(REPRISE_TEST_OPTIONS)
if(REPRISE_SANITIZE MATCHES address)
  set(REPRISE_TEST_OPTIONS -O0)
endif()
if(REPRISE_FUZZ)
  list(APPEND REPRISE_TEST_OPTIONS -fno-sanitize=fuzzer-no-link)
endif()

# reprise_test(tokenizer SOURCES a_test.cc DEPS reprise_tokenizer [OPTIMIZED])  ->  program test_tokenizer, in ctest
function(reprise_test name)
  cmake_parse_arguments(ARG "OPTIMIZED" "" "SOURCES;DEPS" ${ARGN})
  set(target test_${name})
  add_executable(${target} ${ARG_SOURCES})
  if(NOT ARG_OPTIMIZED)
    target_compile_options(${target} PRIVATE ${REPRISE_TEST_OPTIONS})
  endif()
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR} ${REPRISE_GENERATED_DIR})
  target_link_libraries(${target} PRIVATE ${ARG_DEPS} GTest::gmock GTest::gtest_main)
  gtest_discover_tests(${target} DISCOVERY_MODE PRE_TEST PROPERTIES TIMEOUT 900)
endfunction()

# reprise_benchmark(kernels SOURCES a_bench.cc DEPS reprise_kernels)  ->  program bench_kernels
function(reprise_benchmark name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(bench_${name} ${ARG_SOURCES})
  target_link_libraries(bench_${name} PRIVATE ${ARG_DEPS} benchmark::benchmark_main)
endfunction()

# reprise_fuzzer(gguf SOURCES gguf_fuzz.cc DEPS reprise_weights)  ->  program fuzz_gguf (libFuzzer)
function(reprise_fuzzer name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(fuzz_${name} ${ARG_SOURCES})
  target_link_libraries(fuzz_${name} PRIVATE ${ARG_DEPS})
  target_compile_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
endfunction()
