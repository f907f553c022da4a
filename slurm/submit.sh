#!/usr/bin/env bash
# Submits `outsole JOB OPTIONS...` with the nodes and time that its --plan asks for; prints the id of the Slurm job.
#
# Usage: slurm/submit.sh [--name NAME] [--logs DIR] [--after ID] [--array FIRST-LAST] [--dry-run] JOB OPTIONS...
#   --name   of the Slurm job (default: outsole-JOB); its log is DIR/NAME-ID.log (default: the current folder)
#   --after  start when that Slurm job has ended well (or several, ID:ID). The plan is made then, since the input may
#            not exist before, and the waiting job is cut to its size
#   --array  a task for each number; %a in OPTIONS becomes the number, and %%a a %a. The first task is planned
#   --dry-run  print what sbatch would be asked for, submit nothing; NAME stands for the id
# The plan is made in a small job of its own, NAME.size, on a node such as the job's: measuring on a login node would tell
# of another machine, and disturb it. With OUTSOLE_PLANS_HERE=yes, or in an allocation, it is made here if it can be.
set -euo pipefail
# shellcheck source=slurm/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
# shellcheck source=slurm/allocation.sh
source "$OUTSOLE_HOME/slurm/allocation.sh"

name='' logs=. after='' array='' dry_run=''
while [[ "${1:-}" == --* ]]; do
  case $1 in
    --name) name=$2 ;;
    --logs) logs=$2 ;;
    --after) after=$2 ;;
    --array) array=$2 ;;
    --dry-run)
      dry_run=1
      shift
      continue
      ;;
    *) echo "submit.sh: $1: not one of --name, --logs, --after, --array, --dry-run; the job's own options follow its name" >&2
       exit 2 ;;
  esac
  shift 2
done
if [ $# -eq 0 ]; then
  echo "submit.sh: which job? For example: slurm/submit.sh search --index index.h5 --marks marks/ ..." >&2
  exit 2
fi
name=${name:-outsole-$1}
common=(--parsable --kill-on-invalid-dep=yes --output="$(log_pattern "$logs")")
[ -n "$dry_run" ] || mkdir -p -- "$logs"

# ask JOB_NAME SBATCH_WORD...: submits a job, or says what would be; its id.
ask() {
  local job_name=$1
  shift
  if [ -z "$dry_run" ]; then
    sbatch --job-name="$job_name" "$@"
  else
    { printf 'sbatch --job-name=%q' "$job_name"; printf ' %q' "$@"; echo; } >&2
    echo "$job_name"
  fi
}

# Whether this machine can stand for a node of the job: it may, has a rank's cores, and none needs a GPU.
plans_here() {
  [ -z "$dry_run" ] && { [ "$OUTSOLE_PLANS_HERE" = yes ] || [ -n "${SLURM_JOB_ID:-}" ]; } &&
    ! runs_on_gpus "$@" && [ "$(nproc)" -ge "$(cores_per_rank "$@")" ]
}

first_task=("$@")
if [ -n "$array" ]; then
  words_of_task first_task "${array%%-*}" "$@"
fi
resize=''
size="1 $(minutes_unplanned "$@")"
if [ -z "$after" ] && plans_here "$@"; then
  mapfile -t planning < <(plan_options "${first_task[@]}"
    rank_options $(($(memory_gib_per_rank "$@") * 1024)) "$(cores_per_rank "$@")" "${first_task[@]}")
  plan=$("${outsole[@]}" "${first_task[@]}" "${planning[@]}")
  size=$(size_of_plan "$plan" "$@")
else
  mapfile -t allocation < <(allocation_options 1 15 "$@")
  # Held until the job that it looks for waits.
  resize=$(ask "$name.size" --hold "${common[@]}" ${after:+--dependency="afterok:$after"} "${allocation[@]}" \
    "$OUTSOLE_HOME/slurm/resize.sbatch" "${first_task[@]}")
  common+=(--dependency="afterok:${after:+$after:}$resize")
fi
if [ -n "$array" ]; then
  common+=(--array="$array")
fi
read -r nodes minutes < <(echo "$size")   # a here-string would need a place for temporary files
mapfile -t allocation < <(allocation_options "$nodes" "$minutes" "$@")
ask "$name" "${common[@]}" "${allocation[@]}" "$OUTSOLE_HOME/slurm/job.sbatch" "$@"
if [ -n "$resize" ] && [ -z "$dry_run" ]; then
  scontrol release "$resize"
fi
