#!/usr/bin/env bash
# Checks of form that need no build: formatting, file sizes, layering.
set -euo pipefail
cd "$(dirname "$0")/.."
failed=0
sources=$(git ls-files --cached --others --exclude-standard '*.cc' '*.h')

echo "-- clang-format"
# shellcheck disable=SC2086
if ! clang-format --dry-run --Werror $sources; then failed=1; fi

echo "-- file sizes (at most 600 lines, tests 900)"
for file in $sources; do
  limit=600
  case "$file" in *_test.cc) limit=900 ;; esac
  lines=$(wc -l <"$file")
  if [ "$lines" -gt "$limit" ]; then
    echo "$file: $lines lines, expected at most $limit"
    failed=1
  fi
done

echo "-- layering"
forbid() { # folder, pattern, why
  local found
  found=$(grep -nE "^#include [<\"]($2)" -r "$1" --include='*.h' --include='*.cc' || true)
  if [ -n "$found" ]; then
    echo "$1: $3"
    echo "$found"
    failed=1
  fi
}
rpc='grpc|google/protobuf|switchyard/v1/'
forbid common "gateway/|expert_worker/|services/|client/|cli/|embedded/|$rpc" \
  'common includes nothing else of ours, and no RPC'
forbid gateway "expert_worker/|services/|client/|cli/|embedded/|$rpc" \
  'the gateway includes only common'
forbid expert_worker "gateway/|services/|client/|cli/|embedded/|$rpc" \
  'the expert worker includes only common'
forbid embedded "services/|client/|cli/|$rpc" \
  'the embedded cluster has no network'
for folder in common gateway expert_worker embedded services client cli; do
  forbid "$folder" 'torch' 'only examples use libtorch'
done
for folder in common gateway embedded services client cli examples \
  $(find expert_worker -mindepth 1 -maxdepth 1 -type d ! -name collective); do
  forbid "$folder" 'gloo/' 'only expert_worker/collective uses Gloo'
done

if [ "$failed" -ne 0 ]; then exit 1; fi
echo "all checks passed"
