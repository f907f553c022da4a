#!/usr/bin/env bash
# What runs on a GPU, on a machine that has one: builds the search alone (no MPI, HDF5, OpenCV or Boost), holds it against the
# reference there, and measures it against the card's own matrix product.
#
#   tests/device/run.sh [FOLDER]        results go to FOLDER (build/device/results): table.txt, benchmarks.json, training.json, a log of each test
#
#   TORCH    prefix of a LibTorch with CUDA (default: that of python3's torch; without one, the system's LibTorch, on the CPU)
#   PACKAGES folder of Debian packages of GoogleTest and Google Benchmark where they are not installed, from another machine:
#            (cd PACKAGES && apt-get download googletest libgtest-dev libgmock-dev libbenchmark-dev libbenchmark1debian)
#   MINUTES  that the benchmarks may take (5)
set -euo pipefail
here=$(cd "$(dirname "$0")/../.." && pwd)
build=$here/build/device
results=$(realpath --canonicalize-missing "${1:-$build/results}")
mkdir -p "$build" "$results"
prefixes=()
torch=${TORCH:-$(python3 -c 'import torch; print(torch.utils.cmake_prefix_path)' 2>/dev/null || true)}
if [ -n "$torch" ]; then prefixes+=("$torch"); fi
if [ -n "${PACKAGES:-}" ]; then
  for package in "$PACKAGES"/*.deb; do dpkg-deb --extract "$package" "$build/packages"; done
  prefixes+=("$build/packages/usr")
  export LD_LIBRARY_PATH=$build/packages/usr/lib/x86_64-linux-gnu${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
fi

say() { printf '\n== %s\n' "$*" | tee -a "$results/table.txt"; }

: > "$results/table.txt"
say "$(nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null || echo "no GPU: everything runs on the CPU")"
cmake -S "$here" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_UNITY_BUILD=ON -DOUTSOLE_KERNELS_ONLY=ON \
  -DOUTSOLE_BENCHMARKS=ON "-DCMAKE_PREFIX_PATH=$(IFS=';'; echo "${prefixes[*]-}")" > "$results/configure.txt"
cmake --build "$build" --target test_match test_features test_device bench_search bench_train_device 2>&1 |
  tee "$results/build.txt" | grep -E "error|FAILED" || true

say "Held against the reference"
# What this machine's GPU has to do with, on all cores. (The kernel's source run on a CPU is tested where there is no GPU.)
failed=0
shards=8
pids=()
for shard in $(seq 0 $((shards - 1))); do
  GTEST_TOTAL_SHARDS=$shards GTEST_SHARD_INDEX=$shard OMP_NUM_THREADS=2 "$build/tests/test_match" \
    --gtest_filter='*/gpu:*/tensors:McnccTensors*' > "$results/match.$shard.txt" 2>&1 &
  pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
cat "$results"/match.*.txt > "$results/match.txt"
rm "$results"/match.*.txt
for test in features device; do "$build/tests/test_$test" > "$results/$test.txt" 2>&1 || failed=1; done
for test in match features device; do
  for outcome in OK FAILED SKIPPED; do
    printf '%s: %s %s\n' "$test" "$(grep -c "^\[ *$outcome \].*ms)" "$results/$test.txt" || true)" "$outcome" | tee -a "$results/table.txt"
  done
  grep -hE '^\[  FAILED  \] .*ms\)' "$results/$test.txt" | tee -a "$results/table.txt" || true
done

say "Measured, against the card's own matrix product; useful flops are 2 x support cells x channels x exemplars over all poses"
timeout "$((60 * ${MINUTES:-5}))" "$build/tests/benchmarks/bench_search" --benchmark_filter='^on_gpu' \
  "--benchmark_out=$results/benchmarks.json" --benchmark_out_format=json 2>/dev/null | tee -a "$results/table.txt" ||
  say "cut off after ${MINUTES:-5} minutes"

say "A step of training, and indexing, each against the plain way to do it"
timeout 150 "$build/tests/benchmarks/bench_train_device" --seconds 100 --json "$results/training.json" 2> "$results/training_errors.txt" |
  tee -a "$results/table.txt" || say "cut off"
exit "$failed"
