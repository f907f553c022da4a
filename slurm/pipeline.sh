#!/usr/bin/env bash
# Submits a whole run with one command. Exemplars and marks: ingest -> index -> search -> evaluate -> report. Scans:
# ingest -> prepare -> train -> predict -> evaluate. At the end every result is validated. A step starts when the one before it
# has ended well, with the nodes and time that its plan asks for. The same command again carries on after a failure:
# finished steps and finished parts of a step are kept.
#
# Usage: slurm/pipeline.sh [--dry-run] RUN.sh      see run.example.sh; relative paths in it start at the current folder
#   --dry-run  print what sbatch would be asked for, submit nothing
set -euo pipefail
dry_run=()
if [ "${1:-}" = --dry-run ]; then
  dry_run=(--dry-run)
  shift
fi
if [ $# -ne 1 ] || [ ! -r "$1" ]; then
  echo "usage: pipeline.sh [--dry-run] RUN.sh: a file like slurm/run.example.sh that says what to run on" >&2
  exit 2
fi
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

results=''
exemplars=() marks=() labels='' ingest_options=() index_options=() search_options=() report_options=()
scans=() manifest='' task=prediction weeks=8,24,34 scan_options=() prepare_options=() train_options=()
pictures=yes
# shellcheck source=slurm/run.example.sh
source "$(realpath -- "$1")"
if [ -z "$results" ] || [ $((${#exemplars[@]} + ${#scans[@]})) -eq 0 ]; then
  echo "$1: must name a folder for results, and exemplars or scans; see slurm/run.example.sh" >&2
  exit 2
fi
run=$(basename -- "$results")

# step NAME JOB OPTIONS...: submits a job that starts after the job `previous`, and becomes it.
previous=''
step() {
  local name=$1
  shift
  previous=$("$here/submit.sh" "${dry_run[@]}" --name "$run.$name" --logs "$results/logs" ${previous:+--after "$previous"} "$@")
  printf '%-10s job %s\n' "$name" "$previous"
}

ends=''
if [ ${#exemplars[@]} -gt 0 ]; then
  step ingest ingest --kind exemplars --input "${exemplars[@]}" --output "$results/exemplars.h5" "${ingest_options[@]}"
  step index index --exemplars "$results/exemplars.h5" --output "$results/index.h5" "${index_options[@]}"
  if [ ${#marks[@]} -gt 0 ]; then
    step search search --index "$results/index.h5" --marks "${marks[@]}" --output "$results/results.h5" \
      --csv "$results/candidates.csv" "${search_options[@]}"
  fi
  if [ -n "$labels" ]; then
    candidate_pictures=()
    if [ "$pictures" = yes ]; then
      candidate_pictures=(--candidates "$results/candidates" --exemplars "$results/exemplars.h5" --marks "${marks[@]}")
    fi
    step evaluate evaluate retrieval --results "$results/results.h5" --labels "$labels" \
      --output "$results/evaluation.json" --figure "$results/cmc.svg" "${candidate_pictures[@]}"
    report_options+=(--labels "$labels" --evaluation "$results/evaluation.json")
  fi
  if [ ${#marks[@]} -gt 0 ] && [ "$pictures" = yes ]; then
    step report report --results "$results/results.h5" --exemplars "$results/exemplars.h5" --marks "${marks[@]}" \
      --index "$results/index.h5" --output "$results/report" "${report_options[@]}"
  fi
  ends=$previous
fi

if [ ${#scans[@]} -gt 0 ]; then
  previous=''
  step scans ingest --kind scans --input "${scans[@]}" --manifest "$manifest" --output "$results/scans.h5" \
    "${scan_options[@]}"
  preparation_pictures=()
  if [ "$pictures" = yes ]; then
    preparation_pictures=(--figures "$results/preparation")
  fi
  step prepare prepare --scans "$results/scans.h5" --output "$results/prepared.h5" "${preparation_pictures[@]}" \
    "${prepare_options[@]}"
  step train train --scans "$results/prepared.h5" --task "$task" --output "$results/$task" "${train_options[@]}"
  step predict predict --model "$results/$task/model.h5" --input "$results/prepared.h5" --weeks "$weeks" \
    --output "$results/predictions"
  step wear evaluate wear --model "$results/$task/model.h5" --scans "$results/prepared.h5" --output "$results/wear.json"
  ends+=${ends:+:}$previous
fi

previous=$ends
step validate validate "$results"
if [ ${#dry_run[@]} -gt 0 ]; then
  exit
fi
echo "Watch with squeue --me; the logs are in $results/logs. The run is complete when the job $run.validate ends well."
