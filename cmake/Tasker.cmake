# Compiler settings and the two helpers every module uses.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()
# -O2 with little debug information: backtraces stay readable and the build stays quick on two cores.
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1")

# Precompiled headers halve the first build. Off, each file must name all it includes: sanitizers and clang-tidy keep it so.
option(TASKER_PCH "Compile the large library headers once per module" ON)

find_program(TASKER_CCACHE ccache)
if(TASKER_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${TASKER_CCACHE}")
  if(TASKER_PCH)
    # Without these two ccache does not look at files that use a precompiled header.
    set(CMAKE_CXX_COMPILER_LAUNCHER "${CMAKE_COMMAND}" -E env CCACHE_SLOPPINESS=pch_defines,time_macros "${TASKER_CCACHE}")
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
      add_compile_options(-fpch-preprocess)
    endif()
  endif()
endif()

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(simdjson REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(CLI11 REQUIRED)
find_package(OpenSSL REQUIRED)
pkg_check_modules(ZMQ REQUIRED IMPORTED_TARGET libzmq)
pkg_check_modules(PQXX REQUIRED IMPORTED_TARGET libpqxx)
pkg_check_modules(RE2 REQUIRED IMPORTED_TARGET re2)
pkg_check_modules(PQ REQUIRED IMPORTED_TARGET libpq)
# libexpected-dev is header-only in /usr/include and needs no target.

add_library(tasker_settings INTERFACE)
target_include_directories(tasker_settings INTERFACE "${PROJECT_SOURCE_DIR}")
target_compile_options(tasker_settings INTERFACE -Wall -Wextra -Wpedantic -Wconversion)
if(TASKER_PCH AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 sees faults in libstdc++'s own strings once they come from a precompiled header (GCC bugs 105329, 105651).
  target_compile_options(tasker_settings INTERFACE -Wno-array-bounds -Wno-restrict -Wno-stringop-overflow -Wno-stringop-overread)
endif()
if(TASKER_WERROR)
  target_compile_options(tasker_settings INTERFACE -Werror)
endif()
if(TASKER_SANITIZE)
  target_compile_options(tasker_settings INTERFACE "-fsanitize=${TASKER_SANITIZE}" -fno-omit-frame-pointer
                                                   -fno-sanitize-recover=all)
  target_link_options(tasker_settings INTERFACE "-fsanitize=${TASKER_SANITIZE}")
endif()
if(TASKER_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "TASKER_FUZZ needs clang; configure with -DCMAKE_CXX_COMPILER=clang++-14 (bin/test --only fuzz does)")
  endif()
  # Every module learns to report its coverage; only the targets of tests/fuzz link the fuzzer's own main.
  set(TASKER_FUZZ_CHECKS address,undefined)
  target_compile_options(tasker_settings INTERFACE "-fsanitize=fuzzer-no-link,${TASKER_FUZZ_CHECKS}" -O1
                                                   -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(tasker_settings INTERFACE "-fsanitize=${TASKER_FUZZ_CHECKS}")
endif()
target_link_libraries(tasker_settings INTERFACE Threads::Threads)

# tasker_library(NAME SOURCES a.cpp … LINK lib … [PRECOMPILE <header> …]): a static module library. PRECOMPILE names
# the large headers of other libraries that most of its files include.
function(tasker_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK;PRECOMPILE" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC tasker_settings ${ARG_LINK})
  if(TASKER_PCH AND ARG_PRECOMPILE)
    target_precompile_headers(${name} PRIVATE ${ARG_PRECOMPILE})
  endif()
endfunction()

# tasker_test(NAME SOURCES a.cpp … LINK lib … LABEL unit|store|…): one GoogleTest executable, registered with
# ctest under its label so that fast and slow tests can be told apart.
function(tasker_test name)
  cmake_parse_arguments(ARG "" "LABEL" "SOURCES;LINK" ${ARGN})
  find_package(GTest REQUIRED)
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE tasker_settings ${ARG_LINK} GTest::gtest GTest::gmock GTest::gtest_main)
  list(LENGTH ARG_SOURCES source_count)
  if(TASKER_PCH AND source_count GREATER 2)
    target_precompile_headers(${name} PRIVATE <gmock/gmock.h> <gtest/gtest.h> <algorithm> <map> <string> <vector>)
  endif()
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABEL}" ENVIRONMENT "TASKER_SOURCE_DIR=${PROJECT_SOURCE_DIR}")
endfunction()
