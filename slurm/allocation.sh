# What a job asks Slurm for. Sourced by submit.sh and resize.sbatch, after environment.sh.
# shellcheck shell=bash disable=SC2154  # settings of site.sh; `outsole` of environment.sh

runs_on_gpus() {
  case $1 in
    index | search | train | predict) [ "$OUTSOLE_GPUS_PER_NODE" -gt 0 ] ;;
    *) false ;;
  esac
}

# Whether the job spreads its work over ranks.
is_parallel() {
  case $1 in
    evaluate | info | validate) false ;;
  esac
}

ranks_per_node() {
  if ! is_parallel "$1"; then
    echo 1
  elif runs_on_gpus "$1"; then
    echo "$OUTSOLE_GPUS_PER_NODE"
  else
    echo "$OUTSOLE_RANKS_PER_NODE"
  fi
}

at_most() { echo $(($1 < $2 ? $1 : $2)); }

# plan_size JOB OPTIONS...: "NODES MINUTES" from the job's own --plan; fails, saying why, where the plan does. A job that
# estimates no time gets one node and the longest time.
plan_size() {
  local plan seconds ranks nodes minutes
  plan=$("${outsole[@]}" "$@" --plan) || return
  seconds=$(sed -n 's/^plan: seconds_on_one_rank=\([0-9]*\)$/\1/p' <<<"$plan")
  if [ -z "$seconds" ]; then
    echo 1 "$OUTSOLE_MAX_MINUTES"
    return
  fi
  ranks=$(ranks_per_node "$1")
  nodes=$(at_most $((1 + seconds / (60 * OUTSOLE_WANTED_MINUTES * ranks))) "$OUTSOLE_MAX_NODES")
  # Twice the estimate and ten minutes to start and stop: a job that needs longer is requeued, not lost.
  minutes=$(at_most $((10 + seconds / (30 * nodes * ranks))) "$OUTSOLE_MAX_MINUTES")
  echo "$nodes" "$minutes"
}

# allocation_options JOB NODES MINUTES: sbatch's options, one a line.
allocation_options() {
  local ranks options=("${OUTSOLE_SBATCH_OPTIONS[@]}")
  ranks=$(ranks_per_node "$1")
  if runs_on_gpus "$1"; then
    options+=("${OUTSOLE_GPU_SBATCH_OPTIONS[@]}" --gpus-per-task=1)
  fi
  if [ "$OUTSOLE_LAUNCHER" = mpirun ]; then
    options+=(--signal=B:TERM@120)
  fi
  options+=(--nodes="$2" --time="$3" --ntasks-per-node="$ranks" --cpus-per-task="$OUTSOLE_CORES_PER_RANK"
    --mem="$((ranks * OUTSOLE_MEMORY_GIB_PER_RANK))G")
  printf '%s\n' "${options[@]}"
}
