#!/usr/bin/env bash
# Builds Switchyard, starts a gateway and two workers on this machine and trains
# the image classifier with them; flags go to switchyard-image-classifier. On a
# fresh Debian 12 it installs the packages it needs first.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

build=build/release
programs=(switchyard switchyard-gateway switchyard-worker
          switchyard-image-classifier)

# Runs a phase of the preparation quietly; what it printed is shown if it fails.
phase() {
  local title="$1" log="build/run.log" start="$SECONDS"
  shift
  echo "run.sh: $title ..."
  if ! "$@" >"$log" 2>&1; then
    cat "$log" >&2
    echo "run.sh: $title: failed; the output is above and in $log" >&2
    exit 1
  fi
  echo "run.sh: $title: done in $((SECONDS - start)) s"
}

mkdir -p build
phase "installing packages" tools/install_dependencies.sh

# The folder is test.sh's too, and what it configured stays: the tests are
# declared wherever their libraries are, and cost nothing until they are built.
tests=OFF
[[ -e /usr/include/gmock/gmock.h ]] && tests=ON
phase "configuring" cmake --preset release -DSWITCHYARD_BUILD_TESTS="$tests"
phase "building" cmake --build "$build" --target "${programs[@]}"

exec "$build/bin/switchyard" up --workers 2 -- \
  "$build/bin/switchyard-image-classifier" "$@"
