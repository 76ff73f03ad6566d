#!/usr/bin/env bash
# Installs the Debian 12 packages that Switchyard is built from and runs with;
# with --test also those of its tests. Does nothing where all are installed.
set -euo pipefail

usage="usage: tools/install_dependencies.sh [--test]"
with_tests=no
for argument in "$@"; do
  case "$argument" in
    --test) with_tests=yes ;;
    -h | --help) echo "$usage"; exit 0 ;;
    *) echo "$usage" >&2; exit 2 ;;
  esac
done

# The list's first part, up to the line "# test", or all of it.
list="$(dirname "${BASH_SOURCE[0]}")/debian-packages.txt"
packages=()
while read -r line; do
  [[ "$line" == "# test" && "$with_tests" == no ]] && break
  [[ -z "$line" || "$line" == \#* ]] || packages+=("$line")
done <"$list"

missing=()
for package in "${packages[@]}"; do
  status="$(dpkg-query --show --showformat='${db:Status-Status}' "$package" \
            2>/dev/null || true)"
  [[ "$status" == installed ]] || missing+=("$package")
done
if ((${#missing[@]} == 0)); then
  exit 0
fi

as_root=()
if [[ "$(id -u)" != 0 ]]; then
  if ! command -v sudo >/dev/null; then
    echo "These packages are missing: ${missing[*]}" >&2
    echo "Run this script as root, or install sudo." >&2
    exit 1
  fi
  as_root=(sudo)
fi
echo "Installing ${#missing[@]} packages: ${missing[*]}"
"${as_root[@]}" apt-get update -q
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
  apt-get install -q -y --no-install-recommends "${missing[@]}"
