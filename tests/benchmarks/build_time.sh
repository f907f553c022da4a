#!/usr/bin/env bash
# CPU seconds (user + system) of clean builds without ccache: the program alone (preset program), then everything with
# tests, as tests/run.sh builds it from nothing, then a file at a time (preset release). On an idle machine; WHAT=program, everything or
# files builds one of them only.
set -euo pipefail
cd "$(dirname "$0")/../.."
export CCACHE_DISABLE=1 TIMEFORMAT='%R s elapsed, %U + %S CPU s'
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# clean_build PRESET TARGET OPTIONS...: in a folder of its own
clean_build() {
  rm -rf "${folder:?}/build"
  cmake --preset "$1" -B "$folder/build" "${@:3}" >/dev/null
  cmake --build "$folder/build" --target "$2" >/dev/null
}

for what in ${WHAT:-program everything files}; do
  case $what in
    program) echo "the program alone:"; time clean_build program outsole ;;
    everything) echo "everything:"; time clean_build program all -DOUTSOLE_TESTS=ON ;;
    files) echo "everything, a file at a time:"; time clean_build release all ;;
    *) echo "WHAT is program, everything or files" >&2; exit 2 ;;
  esac
done
