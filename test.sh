#!/usr/bin/env bash
# Sets up, builds and tests everything: ./test.sh [release|asan|tsan|fuzz ...]
#
# Without arguments all four, in that order:
#   release  the optimised build with all tests, the example among them
#   asan     AddressSanitizer and UndefinedBehaviorSanitizer, unit and
#            integration tests
#   tsan     ThreadSanitizer, all tests that run without gRPC
#   fuzz     each fuzz target for SWITCHYARD_FUZZ_SECONDS (default 30)
set -euo pipefail
cd "$(dirname "$0")"

if [ $# -eq 0 ]; then set -- release asan tsan fuzz; fi
for stage in "$@"; do
  case "$stage" in
    release | asan | tsan | fuzz) ;;
    *)
      echo "test.sh: got '$stage', expected release, asan, tsan or fuzz" >&2
      exit 2
      ;;
  esac
done

tools/install_dependencies.sh --test

jobs="${SWITCHYARD_BUILD_JOBS:-$(nproc)}"

build() { # preset
  cmake --preset "$1" >"build/$1-configure.log" 2>&1 || {
    cat "build/$1-configure.log" >&2
    return 1
  }
  cmake --build --preset "$1" -j "$jobs" >"build/$1-build.log" 2>&1 || {
    grep -E -A20 'FAILED|error:' "build/$1-build.log" | head -n 200 >&2
    return 1
  }
}

run_stage() {
  case "$1" in
    release | asan | tsan)
      build "$1"
      ctest --preset "$1"
      ;;
    fuzz)
      build asan
      for target in build/asan/bin/fuzz_*; do
        echo "-- $target"
        mkdir -p "build/corpus/$(basename "$target")"
        "$target" "build/corpus/$(basename "$target")" -timeout=10 \
          -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0 \
          -max_total_time="${SWITCHYARD_FUZZ_SECONDS:-30}"
      done
      ;;
  esac
}

mkdir -p build
for stage in "$@"; do
  started=$SECONDS
  echo "== $stage"
  run_stage "$stage"
  echo "== $stage passed in $((SECONDS - started)) s"
done
