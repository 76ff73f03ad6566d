# Every outside library, found once. All are Debian 12 packages: see
# tools/debian-packages.txt.

find_package(Threads REQUIRED)
find_package(absl REQUIRED)
find_package(prometheus-cpp REQUIRED)
find_package(spdlog REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(libhwy REQUIRED IMPORTED_TARGET libhwy)
add_library(switchyard::highway ALIAS PkgConfig::libhwy)

if(SWITCHYARD_BUILD_RPC)
  find_package(Protobuf REQUIRED)
  find_package(gRPC CONFIG REQUIRED)
  find_package(CLI11 REQUIRED)
  find_package(Gloo REQUIRED)
endif()
if(SWITCHYARD_BUILD_TESTS)
  find_package(GTest REQUIRED)
  include(GoogleTest)
endif()
if(SWITCHYARD_BUILD_BENCH)
  # The peer of bench/compute. Not find_package(dnnl): Debian's configuration
  # asks for OpenCL's headers, which only oneDNN's GPU interface needs.
  find_library(SWITCHYARD_DNNL_LIBRARY NAMES dnnl REQUIRED)
  find_path(SWITCHYARD_DNNL_INCLUDE_DIR NAMES dnnl.h REQUIRED)
  add_library(switchyard_dnnl INTERFACE)
  target_link_libraries(switchyard_dnnl INTERFACE "${SWITCHYARD_DNNL_LIBRARY}")
  target_include_directories(switchyard_dnnl SYSTEM INTERFACE
    "${SWITCHYARD_DNNL_INCLUDE_DIR}")
  # oneDNN runs its OpenMP threads unless told otherwise, with this library's API.
  find_library(SWITCHYARD_GOMP NAMES gomp libgomp.so.1 REQUIRED
               PATHS /usr/lib/gcc/x86_64-linux-gnu/12)
endif()
