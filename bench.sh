#!/usr/bin/env bash
# Builds and runs the benchmarks: ./bench.sh [--list] [--repeats N] [NAME ...]
#
# NAMEs are programs of bench/ (compute, end_to_end, ...); without any, all but
# the peers run. `peers` runs bench/peers/, which downloads them from PyPI.
# Prints a table and writes bench/results/latest.json. Leave the machine alone
# meanwhile: the figures are ratios, but of things that take turns.
set -euo pipefail
cd "$(dirname "$0")"

tools/install_dependencies.sh
mkdir -p build
cmake --preset release >build/release-configure.log 2>&1 || {
  cat build/release-configure.log >&2
  exit 1
}
cmake --build --preset release -j "${SWITCHYARD_BUILD_JOBS:-$(nproc)}" \
  >build/release-build.log 2>&1 || {
  grep -E -A20 'FAILED|error:' build/release-build.log | head -n 200 >&2
  exit 1
}
exec python3 bench/run.py "$@"
