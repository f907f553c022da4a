#!/usr/bin/env bash
# fuzz.sh TARGET [libFuzzer's options...]: runs a target of the preset fuzz on its seeds. What it learns stays in
# build/fuzz/corpus/TARGET, an input that breaks something in build/fuzz/findings/TARGET-*.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=$1
shift
mkdir -p "build/fuzz/corpus/$target" build/fuzz/findings
dictionary=tests/fuzz/dictionaries/$target.dict
# No leaks: HDF5 and LibTorch keep what they allocated. The stack of a child that HDF5 crashes is of no interest.
ASAN_OPTIONS=detect_leaks=0:handle_segv=1 exec "build/fuzz/tests/fuzz/fuzz_$target" \
  -max_len=4096 -timeout=20 -rss_limit_mb=3000 -malloc_limit_mb=1000 -artifact_prefix="build/fuzz/findings/$target-" \
  $([ -f "$dictionary" ] && echo "-dict=$dictionary") -print_final_stats=1 "$@" \
  "build/fuzz/corpus/$target" "tests/fuzz/seeds/$target"
