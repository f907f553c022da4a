#!/usr/bin/env bash
# CPU seconds (user + system) of clean builds without ccache: the program alone (preset program), then everything (preset
# release, with tests). On an idle machine; WHAT=program or WHAT=everything builds one of them only.
set -euo pipefail
cd "$(dirname "$0")/../.."
export CCACHE_DISABLE=1 TIMEFORMAT='%R s elapsed, %U + %S CPU s'
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# clean_build PRESET TARGET: in a folder of its own
clean_build() {
  cmake --preset "$1" -B "$folder/$1" >/dev/null
  cmake --build "$folder/$1" --target "$2" >/dev/null
}

for what in ${WHAT:-program everything}; do
  case $what in
    program) echo "the program alone:"; time clean_build program outsole ;;
    everything) echo "everything:"; time clean_build release all ;;
    *) echo "WHAT is program or everything" >&2; exit 2 ;;
  esac
done
