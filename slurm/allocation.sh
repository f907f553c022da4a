# What a job asks Slurm for. Sourced by submit.sh, job.sbatch and resize.sbatch, after environment.sh. JOB OPTIONS... are the
# words of the command, without `outsole`.
# shellcheck shell=bash disable=SC2154  # settings of site.sh; `outsole` of environment.sh

# What a copied site.sh of an older version does not say.
: "${OUTSOLE_SMALL_MEMORY_GIB:=8}" "${OUTSOLE_SMALL_MINUTES:=60}" "${OUTSOLE_PLANS_HERE:=no}"
: "${OUTSOLE_GPU_CORES_PER_RANK:=${OUTSOLE_CORES_PER_RANK:-}}"
: "${OUTSOLE_GPU_MEMORY_GIB_PER_RANK:=${OUTSOLE_MEMORY_GIB_PER_RANK:-}}"
[ -n "${OUTSOLE_CPU_SBATCH_OPTIONS+set}" ] || OUTSOLE_CPU_SBATCH_OPTIONS=()
[ -n "${OUTSOLE_SMALL_SBATCH_OPTIONS+set}" ] || OUTSOLE_SMALL_SBATCH_OPTIONS=()
[ -n "${OUTSOLE_GPU_OPTIONS+set}" ] || OUTSOLE_GPU_OPTIONS=(--gpus-per-node=%n --gpu-bind=none)

# runs_on_gpus JOB OPTIONS...
runs_on_gpus() {
  case $1 in
    index | search | train | predict) [ "$OUTSOLE_GPUS_PER_NODE" -gt 0 ] ;;
    *) false ;;
  esac
}

# is_parallel JOB OPTIONS...: whether the job spreads its work over ranks.
is_parallel() {
  case $1 in
    evaluate) [ "${2:-}" = wear ] ;;
    info | validate | copy | rename | export) false ;;
  esac
}

# ranks_per_node JOB OPTIONS...
ranks_per_node() {
  if ! is_parallel "$@"; then
    echo 1
  elif runs_on_gpus "$@"; then
    echo "$OUTSOLE_GPUS_PER_NODE"
  else
    echo "$OUTSOLE_RANKS_PER_NODE"
  fi
}

# cores_per_rank JOB OPTIONS...: what is no work for ranks is none for threads either.
cores_per_rank() {
  if ! is_parallel "$@"; then
    echo 1
  elif runs_on_gpus "$@"; then
    echo "$OUTSOLE_GPU_CORES_PER_RANK"
  else
    echo "$OUTSOLE_CORES_PER_RANK"
  fi
}

# memory_gib_per_rank JOB OPTIONS...
memory_gib_per_rank() {
  if ! is_parallel "$@"; then
    at_most "$OUTSOLE_SMALL_MEMORY_GIB" "$OUTSOLE_MEMORY_GIB_PER_RANK"
  elif runs_on_gpus "$@"; then
    echo "$OUTSOLE_GPU_MEMORY_GIB_PER_RANK"
  else
    echo "$OUTSOLE_MEMORY_GIB_PER_RANK"
  fi
}

# minutes_unplanned JOB OPTIONS...: what the job asks for as long as its plan is not known.
minutes_unplanned() {
  if is_parallel "$@"; then
    echo "$OUTSOLE_MAX_MINUTES"
  else
    at_most "$OUTSOLE_SMALL_MINUTES" "$OUTSOLE_MAX_MINUTES"
  fi
}

# sbatch_options JOB OPTIONS...: the site's, one a line.
sbatch_options() {
  local options=("${OUTSOLE_SBATCH_OPTIONS[@]}") option
  if runs_on_gpus "$@"; then
    options+=("${OUTSOLE_GPU_SBATCH_OPTIONS[@]}")
    # A rank sees the GPUs of its neighbours, too, and takes the one of its number: only so can ranks reach each other's.
    for option in "${OUTSOLE_GPU_OPTIONS[@]}"; do options+=("${option//%n/$OUTSOLE_GPUS_PER_NODE}"); done
  else
    options+=("${OUTSOLE_CPU_SBATCH_OPTIONS[@]}")
    if ! is_parallel "$@"; then
      options+=("${OUTSOLE_SMALL_SBATCH_OPTIONS[@]}")
    fi
  fi
  if [ ${#options[@]} -gt 0 ]; then
    printf '%s\n' "${options[@]}"
  fi
}

# sets NAME JOB OPTIONS...: whether the command sets the option --NAME, by a word of its own or in the file of --config.
sets() {
  local name=$1 word config=''
  shift
  for word in "$@"; do
    case $word in
      --"$name" | --"$name"=*) return 0 ;;
      --config=*) config=${word#*=} ;;
      *) if [ "$config" = next ]; then config=$word; fi ;;
    esac
    if [ "$word" = --config ]; then config=next; fi
  done
  [ -n "$config" ] && grep -Eqs -- "^[[:space:]]*${name}[[:space:]]*=" "$config"
}

# rank_options MIB CORES JOB OPTIONS...: what a rank is told of its share of the allocation, a word a line, unless the
# command says it: its memory, a tenth left to MPI and the system, and its threads.
rank_options() {
  local mib=$(($1 * 9 / 10)) cores=$2
  shift 2
  if ! sets memory-gib "$@"; then
    printf -- '--memory-gib\n%d.%02d\n' $((mib / 1024)) $((mib % 1024 * 100 / 1024))
  fi
  if ! sets threads "$@"; then
    printf -- '--threads\n%d\n' "$cores"
  fi
}

# words_of_task ARRAY TASK WORD...: sets the array to the words with the task's number for each %a, and %a for each %%a.
words_of_task() {
  local -n into=$1
  local task=$2 kept=$'\001' word
  shift 2
  into=()
  for word in "$@"; do
    word=${word//%%a/$kept}
    word=${word//%a/$task}
    into+=("${word//$kept/%a}")
  done
}

# log_pattern DIR: sbatch's name of a job's log there. A % in the folder's name stands for itself.
log_pattern() { printf '%s/%%x-%%j.log' "${1//%/%%}"; }

at_most() { echo $(($1 < $2 ? $1 : $2)); }

# numbers_of_nodes: those that a job may get, a finite choice of them where they are many.
numbers_of_nodes() {
  local nodes
  for ((nodes = 1; nodes < OUTSOLE_MAX_NODES; nodes += 1 + nodes / 8)); do echo "$nodes"; done
  echo "$OUTSOLE_MAX_NODES"
}

# plan_options JOB OPTIONS...: that the job's --plan may tell what each number of nodes would take, a word a line.
plan_options() {
  local ranks nodes list=''
  ranks=$(ranks_per_node "$@")
  if is_parallel "$@"; then
    for nodes in $(numbers_of_nodes); do list+=${list:+,}$((nodes * ranks)); done
  fi
  printf '%s\n' --plan --plan-ranks "${list:-1}" --plan-node "ranks=$ranks"
}

# size_of_plan PLAN JOB OPTIONS...: "NODES MINUTES": the fewest nodes on which the job is estimated to be done within the
# wanted time and its ranks fit into their memory; where none are enough, those beyond which more would hardly help. A job
# that estimates no time gets one node and the longest time. Twice the estimate and ten minutes to start and stop: a job
# that needs longer is requeued, not lost.
size_of_plan() {
  local plan=$1
  shift
  printf '%s\n' "$plan" | awk -v ranks="$(ranks_per_node "$@")" -v wanted=$((60 * OUTSOLE_WANTED_MINUTES)) -v longest="$OUTSOLE_MAX_MINUTES" \
    -v memory=$(($(memory_gib_per_rank "$@") << 30)) '
    sub(/^plan: ranks=/, "") {
      split($0, words, /[ =]/)   # RANKS seconds S memory_bytes B
      fits = words[5] <= memory
      sooner = seconds > wanted && words[3] < 0.95 * seconds
      if (!nodes || fits > is_enough || (fits == is_enough && sooner)) {
        nodes = words[1] / ranks
        seconds = words[3]
        is_enough = fits
      }
    }
    END {
      minutes = nodes ? 10 + int(seconds / 30) : longest
      print nodes ? nodes : 1, minutes < longest ? minutes : longest
    }'
}

# allocation_options NODES MINUTES JOB OPTIONS...: sbatch's options, one a line.
allocation_options() {
  local nodes=$1 minutes=$2 ranks options
  shift 2
  ranks=$(ranks_per_node "$@")
  mapfile -t options < <(sbatch_options "$@")
  if [ "$OUTSOLE_LAUNCHER" = mpirun ]; then
    options+=(--signal=B:TERM@120)
  fi
  options+=(--nodes="$nodes" --time="$minutes" --ntasks-per-node="$ranks" --cpus-per-task="$(cores_per_rank "$@")"
    --mem="$((ranks * $(memory_gib_per_rank "$@")))G")
  printf '%s\n' "${options[@]}"
}
