#!/usr/bin/env bash
# From nothing to ranked candidates in a few minutes, on synthetic outsoles whose true matches are known. Every step is
# an ordinary command: copy what you need. Run it again after an interruption: each step carries on where it stopped.
#
# Usage: jobs/quickstart.sh [FOLDER]      results go to FOLDER (default: results/quickstart)
# RANKS=4 runs more ranks; OUTSOLE=path uses another build than build/release/outsole or build/program/outsole.
set -euo pipefail
results=$(realpath --canonicalize-missing "${1:-$(dirname "$0")/../results/quickstart}")
cd "$(dirname "$0")/.."
outsole=${OUTSOLE:-build/release/outsole}
if [ -z "${OUTSOLE:-}" ] && [ ! -x "$outsole" ]; then
  outsole=build/program/outsole  # the program alone, without tests
fi

step() { printf '\n== %s\n' "$1"; }

if [ ! -x "$outsole" ]; then
  step "Building outsole, once"
  cmake/install-dependencies.sh --program
  cmake --preset program
  cmake --build --preset program
fi

# Open MPI refuses to run as root, as in containers, unless told; ranks share the cores they find.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
run() { mpirun -n "${RANKS:-2}" --bind-to none --oversubscribe "$outsole" "$@"; }
mkdir -p "$results"

step "Drawing 60 exemplars and 12 crime-scene marks cut from them"
run synthesize exemplars --count 60 --seed 1 --size 586x240 --output "$results/exemplars"
run synthesize marks --exemplars "$results/exemplars" --count 12 --seed 2 --damage 0.6 --output "$results/marks"

step "Reading the exemplars into a store"
run ingest --kind exemplars --input "$results/exemplars" --manifest "$results/exemplars/manifest.csv" \
  --output "$results/exemplars.h5"

step "Computing their feature maps (wavelet scattering, which needs no weights)"
run index --exemplars "$results/exemplars.h5" --extractor scattering --output "$results/index.h5"

step "Searching every mark in every exemplar at every rotation and translation"
run search --index "$results/index.h5" --marks "$results/marks" --all-scores \
  --output "$results/results.h5" --csv "$results/candidates.csv"

step "Measuring how often the true exemplar comes first"
run evaluate retrieval --results "$results/results.h5" --labels "$results/marks/labels.csv" --group-column area \
  --output "$results/evaluation.json" --figure "$results/cmc.svg" \
  --candidates "$results/pictures" --exemplars "$results/exemplars.h5" --marks "$results/marks"

step "Making the pages that an examiner reads"
run report --results "$results/results.h5" --exemplars "$results/exemplars.h5" --marks "$results/marks" \
  --index "$results/index.h5" --labels "$results/marks/labels.csv" --evaluation "$results/evaluation.json" \
  --title "Quickstart: 12 synthetic marks" --output "$results/report"

step "Checking every file against its schema and checksums"
run validate "$results"

step "Done. Open this page in a browser"
echo "  $results/report/index.html"

step "Or look at"
cat <<END
  $results/pictures/         each mark beside its first 8 candidates; the true exemplar is framed green
  $results/candidates.csv    the ranked candidates with scores and poses
  $results/evaluation.json   the measures printed above, and more
  $results/cmc.svg           share of marks found within the first k
END
