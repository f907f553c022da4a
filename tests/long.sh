#!/usr/bin/env bash
# What takes too long for every change. Each part builds what it needs and can be started alone:
#
#   tests/long.sh              all of them, one after another
#   tests/long.sh PART...      faults  every fault in every phase of every job
#                              program the program alone, as the quickstart builds it, on data of its own
#                              asan    all tests under the address and undefined-behaviour sanitizers
#                              tsan    the tests of what has threads, under the thread sanitizer
#                              fuzz    every fuzz target for FUZZ_SECONDS (600)
set -euo pipefail
cd "$(dirname "$0")/.."
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
readonly patience=6  # sanitizers make jobs several times slower

say() { printf '\n== %s\n' "$*"; }

# build PRESET [TARGET...]
build() {
  local preset=$1
  shift
  cmake --preset "$preset" >/dev/null
  cmake --build --preset "$preset" ${1:+--target "$@"}
}

faults() {
  say "every fault in every phase of every job"
  build release fault_drills outsole
  build/release/tests/fault_drills
}

program() {
  say "the quickstart with the program alone"
  build program
  local results
  results=$(mktemp -d)
  OUTSOLE=build/program/outsole jobs/quickstart.sh "$results"
  rm -rf "$results"
}

asan() {
  say "all tests under the address and undefined-behaviour sanitizers"
  build asan
  # Leaks are not looked for: Open MPI and HDF5 keep what they allocated until the process ends, and we never shut HDF5
  # down (store/hdf5_file.h). alloc_dealloc_mismatch: LibTorch allocates with one pair of functions and frees with another.
  OUTSOLE_TEST_PATIENCE=$patience ASAN_OPTIONS=detect_leaks=0:alloc_dealloc_mismatch=0 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
    ctest --test-dir build/asan --output-on-failure --no-tests=error --label-exclude slurm
}

tsan() {
  say "the tests of what has threads, under the thread sanitizer"
  # Threads: store's I/O thread under every store, the readers ahead of exemplar blocks and scans, the sums of gradients
  # that travel while the backward pass runs. One OpenMP thread: libgomp is not compiled for the sanitizer.
  build tsan test_core test_store test_comm test_learn test_ingest test_retrieval test_wear
  TSAN_OPTIONS="suppressions=$PWD/tests/tsan.supp:halt_on_error=1" OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 \
    ctest --test-dir build/tsan --output-on-failure --no-tests=error --tests-regex '^(core|store|comm.*|learn.*|ingest.*|retrieval.*|wear.*)$'
}

fuzz() {
  say "every fuzz target for ${FUZZ_SECONDS:=600} seconds"
  cmake/install-dependencies.sh --fuzz
  build fuzz
  local program target
  for program in build/fuzz/tests/fuzz/fuzz_*; do
    target=${program##*/fuzz_}
    say "$target"
    tests/fuzz/fuzz.sh "$target" -max_total_time="$FUZZ_SECONDS"
  done
}

parts=("$@")
[ $# -gt 0 ] || parts=(faults program asan tsan fuzz)
for part in "${parts[@]}"; do
  case $part in
    faults | program | asan | tsan | fuzz) "$part" ;;
    *)
      sed -n '2,10s/^# \?//p' "$0" >&2
      exit 2
      ;;
  esac
done
