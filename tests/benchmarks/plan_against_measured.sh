#!/usr/bin/env bash
# What `search` and `train` plan beside what they take, on one rank and on two, one thread each:
#   plan_against_measured.sh OUTSOLE FOLDER
# FOLDER gets the data, which are synthetic (made once, about two minutes), and the results. Measured is the whole
# command, mpirun included. "Planned" is `--plan` on the same number of ranks, just before; "from one rank" is what
# --plan-ranks told on one rank, which cannot know what two ranks cost each other.
set -euo pipefail
export LC_ALL=C
outsole=$(realpath "$1")
mkdir -p "$2"
cd "$2"

on() { mpirun -n "$1" --bind-to none "$outsole" "${@:2}" --threads 1 --log-level error; }

make_data() {
  on 2 synthesize exemplars --count 320 --seed 1 --output exemplars
  on 2 synthesize marks --exemplars exemplars --count 12 --seed 2 --damage 0.6 --output marks
  on 2 ingest --kind exemplars --input exemplars --manifest exemplars/manifest.csv --output exemplars.h5
  on 2 index --exemplars exemplars.h5 --output index.h5
  on 2 synthesize wear --count 1 --seed 1 --size 320x128 --output year
  on 2 ingest --kind scans --input year --manifest year/manifest.csv --output scans.h5
  on 2 prepare --scans scans.h5 --size 160x64 --output prepared.h5
}

# Seconds of a command.
seconds_of() {
  local start=${EPOCHREALTIME/./}
  "$@" > /dev/null
  awk -v t=$((${EPOCHREALTIME/./} - start)) 'BEGIN { printf "%.1f", t / 1e6 }'
}

# Seconds that a plan tells for so many ranks.
planned_for() { sed -n "s/^plan: ranks=$1 seconds=\([^ ]*\).*/\1/p"; }

compare() {
  local job=$1 options=("${@:2}") ranks plan measured from_one
  from_one=$(on 1 "$job" "${options[@]}" --plan --plan-ranks 1,2 --plan-node ranks=2)
  for ranks in 1 2; do
    plan=$(on $ranks "$job" "${options[@]}" --plan --plan-ranks 1,2 --plan-node ranks=2 | planned_for $ranks)
    rm -rf results.h5 results.shards run
    measured=$(seconds_of on $ranks "$job" "${options[@]}")
    awk -v job="$job" -v ranks=$ranks -v plan="$plan" -v from_one="$(planned_for $ranks <<< "$from_one")" -v measured="$measured" \
      'BEGIN { printf "%-8s %5d %9.1f s %9.1f s %7.2f %15.1f s %7.2f\n", job, ranks, measured, plan, plan / measured, from_one, from_one / measured }'
  done
}

[ -e made ] || { make_data > /dev/null && touch made; }
printf '%-8s %5s %11s %11s %7s %17s %7s\n' job ranks measured planned ratio 'from one rank' ratio
compare search --index index.h5 --marks marks --output results.h5
compare train --scans prepared.h5 --task prediction --epochs 5 --output run
