#!/usr/bin/env bash
# Installs what is missing, builds, and runs every test. With --long also what takes hours (tests/long.sh says what).
set -euo pipefail
cd "$(dirname "$0")/.."
if [ $# -gt 0 ] && [ "$*" != --long ]; then
  echo "usage: tests/run.sh [--long]" >&2
  exit 2
fi

cmake/install-dependencies.sh --slurm --browser
# From nothing a few large units take half the time of a file each; a build that is there stays as it was configured.
unity=()
[ -e build/release/CMakeCache.txt ] || unity=(-DCMAKE_UNITY_BUILD=ON -DCMAKE_UNITY_BUILD_BATCH_SIZE=10)
cmake --preset release "${unity[@]}" >build-configure.log 2>&1 || { cat build-configure.log; exit 1; }
rm -f build-configure.log
cmake --build --preset release

export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
if [ -z "${OUTSOLE_DATA:-}" ]; then
  echo "OUTSOLE_DATA is not set: tests on real data will be skipped"
fi
# Ends with one list of what was skipped and why.
export OUTSOLE_SKIPPED="$PWD/build/release/skipped.txt"
: >"$OUTSOLE_SKIPPED"
# Tests run beside each other: threads and ranks that wait leave the cores to those that have something to do.
export OMP_WAIT_POLICY=passive OMPI_MCA_mpi_yield_when_idle=1
passed=yes
ctest --test-dir build/release --output-on-failure --no-tests=error --parallel 2 || passed=no
if [ -s "$OUTSOLE_SKIPPED" ]; then
  echo "Skipped:"
  sort -u "$OUTSOLE_SKIPPED" | sed 's/^/  /'
fi
[ "$passed" = yes ] || exit 1
if [ "${1:-}" == --long ]; then
  tests/long.sh
fi
