#!/usr/bin/env bash
# The Python reader, and h5py alone, on stores that the program writes here; skipped, saying so, without h5py.
# Usage: reader_test.sh OUTSOLE
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
for python in python3 /usr/bin/python3; do
  if "$python" -c 'import h5py, numpy' 2>/dev/null; then
    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 exec "$python" "$here/reader_test.py" "$1"
  fi
done
echo "skipped: python3-h5py is missing"
exit 77
