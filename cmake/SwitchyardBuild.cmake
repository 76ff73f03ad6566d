# Language level, warnings, sanitizers, and the two functions every folder
# declares its targets with.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${CCACHE_PROGRAM}")
endif()

add_library(switchyard_options INTERFACE)
target_include_directories(switchyard_options INTERFACE "${PROJECT_SOURCE_DIR}")
target_compile_options(switchyard_options INTERFACE
  -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Wextra-semi -Wold-style-cast
  -Wmissing-declarations
  # Designated initialisers leave out what has a default, on purpose.
  -Wno-missing-field-initializers
  # g++ 12 sees uninitialised members behind every empty std::optional.
  $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>
  # Sums keep the order and the roundings that docs/numerics.md promises.
  -ffp-contract=off
  $<$<BOOL:${SWITCHYARD_WARNINGS_AS_ERRORS}>:-Werror>
  $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety;-Wimplicit-fallthrough>)
if(SWITCHYARD_SANITIZE)
  target_compile_options(switchyard_options INTERFACE
    "-fsanitize=${SWITCHYARD_SANITIZE}" -fno-sanitize-recover=all
    -fno-omit-frame-pointer
    # Coverage of the code under test leads the fuzzers, not that of theirs.
    $<$<BOOL:${SWITCHYARD_BUILD_FUZZERS}>:-fsanitize=fuzzer-no-link>)
  target_link_options(switchyard_options INTERFACE
    "-fsanitize=${SWITCHYARD_SANITIZE}")
endif()

# switchyard_cc_library(NAME n HDRS h... SRCS s... DEPS d... PRIVATE_DEPS p...)
# makes the library switchyard_n, used as switchyard::n.
function(switchyard_cc_library)
  cmake_parse_arguments(ARG "" "NAME" "HDRS;SRCS;DEPS;PRIVATE_DEPS" ${ARGN})
  set(target "switchyard_${ARG_NAME}")
  if(ARG_SRCS)
    add_library(${target} STATIC ${ARG_SRCS})
    target_sources(${target} PUBLIC FILE_SET HEADERS
      BASE_DIRS "${PROJECT_SOURCE_DIR}" FILES ${ARG_HDRS})
    target_link_libraries(${target} PUBLIC switchyard_options ${ARG_DEPS}
      PRIVATE ${ARG_PRIVATE_DEPS})
  else()
    add_library(${target} INTERFACE)
    target_sources(${target} INTERFACE FILE_SET HEADERS
      BASE_DIRS "${PROJECT_SOURCE_DIR}" FILES ${ARG_HDRS})
    target_link_libraries(${target} INTERFACE switchyard_options ${ARG_DEPS})
  endif()
  add_library(switchyard::${ARG_NAME} ALIAS ${target})
endfunction()

# switchyard_cc_test(NAME n SRCS s... DEPS d... LABELS l... [ENVIRONMENT v=x])
# makes the test binary n and registers each of its cases with CTest.
function(switchyard_cc_test)
  if(NOT SWITCHYARD_BUILD_TESTS)
    return()
  endif()
  cmake_parse_arguments(ARG "" "NAME;TIMEOUT_SECONDS;ENVIRONMENT" "SRCS;DEPS;LABELS" ${ARGN})
  if(NOT ARG_TIMEOUT_SECONDS)
    set(ARG_TIMEOUT_SECONDS 120)
  endif()
  add_executable(${ARG_NAME} ${ARG_SRCS})
  target_link_libraries(${ARG_NAME} PRIVATE ${ARG_DEPS} GTest::gmock GTest::gtest_main)
  # The list of labels passes through three rounds of list expansion on its way
  # to CTest, each of which takes one level of escapes off.
  string(REPLACE ";" [==[\\\\\\\;]==] labels "${ARG_LABELS}")
  gtest_discover_tests(${ARG_NAME} DISCOVERY_MODE PRE_TEST
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
    PROPERTIES LABELS "${labels}" TIMEOUT ${ARG_TIMEOUT_SECONDS}
      ENVIRONMENT "${ARG_ENVIRONMENT}")
endfunction()

# switchyard_cc_bench(NAME n SRCS s... DEPS d...) makes the benchmark program
# bench_n, which ./bench.sh knows as n.
function(switchyard_cc_bench)
  cmake_parse_arguments(ARG "" "NAME" "SRCS;DEPS" ${ARGN})
  add_executable(bench_${ARG_NAME} ${ARG_SRCS})
  target_link_libraries(bench_${ARG_NAME} PRIVATE
    ${ARG_DEPS} switchyard::bench_harness)
endfunction()
