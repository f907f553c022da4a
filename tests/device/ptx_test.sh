#!/usr/bin/env bash
# The kernels for GPUs compile for every generation they are meant for; where a ptxas is at hand, it takes the result without
# spilling registers.
#
#   tests/device/ptx_test.sh CLANG
set -euo pipefail
kernels=$(cd "$(dirname "$0")/../.." && pwd)/src/match/gpu/kernels.cu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ptxas=$(command -v ptxas || ls /usr/local/cuda/bin/ptxas 2>/dev/null || true)
for generation in 80 90; do
  "$1" -x cuda --cuda-device-only -nocudainc -nocudalib -Wno-unknown-cuda-version -std=c++17 -O3 -S \
    "--cuda-gpu-arch=sm_$generation" "$kernels" -o "$work/$generation.ptx"
  grep -q "^.target sm_$generation" "$work/$generation.ptx"
  grep -q 'mma.sync.aligned.m16n8k16' "$work/$generation.ptx"
  [ -n "$ptxas" ] || continue
  "$ptxas" "-arch=sm_$generation" -v "$work/$generation.ptx" -o "$work/$generation.cubin" 2> "$work/report"
  if grep -E '[1-9][0-9]* bytes spill' "$work/report"; then
    echo "FAILED: registers spill on sm_$generation"
    exit 1
  fi
done
echo "compiled for sm_80 and sm_90${ptxas:+, and assembled}"
