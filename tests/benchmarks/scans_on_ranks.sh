#!/usr/bin/env bash
# Wall time of ingest and prepare on one rank and on two, one thread each; and whether they write the same bytes:
#   scans_on_ranks.sh OUTSOLE SCANS_DIR OUTPUT_DIR [PREPARE_OPTIONS...]
# SCANS_DIR holds scans and their manifest.csv, as `synthesize wear` and bench_ingest make them (these need --dpi 1000).
set -euo pipefail
outsole=$(realpath "$1") scans=$(realpath "$2") output=$3
shift 3

# Wall milliseconds of a command.
milliseconds() {
  local start=${EPOCHREALTIME/./}
  "$@" > /dev/null
  echo $(((${EPOCHREALTIME/./} - start) / 1000))
}

for ranks in 1 2; do
  rm -rf "$output/on_$ranks"
  mkdir -p "$output/on_$ranks"
  cd "$output/on_$ranks"
  run=(mpirun -n $ranks --bind-to none "$outsole")
  ingest=$(milliseconds "${run[@]}" ingest --kind scans --input "$scans" --manifest "$scans/manifest.csv" --threads 1 \
    --log-level error --output scans.h5)
  prepare=$(milliseconds "${run[@]}" prepare --scans scans.h5 "$@" --threads 1 --log-level error --output prepared.h5)
  echo "$ranks rank(s): ingest $ingest ms, prepare $prepare ms"
  cd - > /dev/null
done
cmp "$output"/on_{1,2}/scans.h5
cmp "$output"/on_{1,2}/prepared.h5
echo "the same bytes"
