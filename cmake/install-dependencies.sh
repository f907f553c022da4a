#!/usr/bin/env bash
# Installs what outsole builds and runs with, on Debian 12 and Ubuntu. Needs root (or sudo) only when something is missing.
# With --program only what the program alone needs, not the tests and benchmarks. With --fuzz also a clang that brings libFuzzer. With --slurm also Slurm's daemons, for tests/slurm, where root can start them and no other Slurm is installed.
# clang-16 makes the kernels for GPUs; without it a build has none.
# libopenblas0-pthread matters: without it LibTorch falls back to the reference BLAS, about 40 times slower.
set -euo pipefail

packages=(
  g++ cmake ninja-build clang-16
  libtorch-dev libopenblas0-pthread libopencv-dev libpng-dev libjpeg-dev libtiff-dev libhdf5-dev libopenmpi-dev openmpi-bin
  libboost-program-options-dev libspdlog-dev nlohmann-json3-dev libssl-dev libsvm-dev
)
if [ "${1:-}" != --program ]; then
  packages+=(ccache git libgtest-dev libgmock-dev libbenchmark-dev libfaketime python3-numpy python3-pil python3-h5py r-cran-hdf5r)
fi

if [ "${1:-}" = --slurm ] && [ "$(id -u)" -eq 0 ] && ! command -v sbatch >/dev/null; then
  packages+=(slurm-wlm munge)
fi

if [ "${1:-}" = --fuzz ]; then
  packages+=(libclang-rt-16-dev)
fi

missing=()
for package in "${packages[@]}"; do
  dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  exit 0
fi

echo "installing: ${missing[*]}"
run_as_root=()
if [ "$(id -u)" -ne 0 ]; then
  run_as_root=(sudo)
fi
"${run_as_root[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${run_as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
