# Starts the ranks of a job in its allocation. Sourced by job.sbatch and resize.sbatch, after allocation.sh.
# shellcheck shell=bash disable=SC2154

if [ -n "${SLURM_NTASKS_PER_NODE:-}" ]; then
  ranks=$((SLURM_JOB_NUM_NODES * SLURM_NTASKS_PER_NODE))   # also where the job was given more nodes while it waited
else
  ranks=${SLURM_NTASKS:-1}
fi
cores=${SLURM_CPUS_PER_TASK:-1}
export SRUN_CPUS_PER_TASK=$cores   # srun does not take it from the allocation by itself
export OMP_NUM_THREADS=$cores OPENBLAS_NUM_THREADS=$cores

# share_options JOB OPTIONS...: rank_options of this allocation.
share_options() {
  local mib=0 ranks_on_node=$(((ranks + SLURM_JOB_NUM_NODES - 1) / SLURM_JOB_NUM_NODES))
  if [ -n "${SLURM_MEM_PER_NODE:-}" ]; then
    mib=$((SLURM_MEM_PER_NODE / ranks_on_node))
  elif [ -n "${SLURM_MEM_PER_CPU:-}" ]; then
    mib=$((SLURM_MEM_PER_CPU * cores))
  fi
  if [ "$mib" -gt 0 ]; then
    rank_options "$mib" "$cores" "$@"
  fi
}

# run_ranks JOB OPTIONS...: ends with the ranks' exit code. srun passes TERM to them. mpirun would end them; so this script
# is told instead (allocation_options asks for --signal=B:TERM@120) and tells the ranks of this node, who tell the others.
run_ranks() {
  local share
  mapfile -t share < <(share_options "$@")
  if ! is_parallel "$@"; then
    "${outsole[@]}" "$@" "${share[@]}"
  elif [ "$OUTSOLE_LAUNCHER" = srun ]; then
    srun --ntasks="$ranks" "${OUTSOLE_SRUN_OPTIONS[@]}" "${outsole[@]}" "$@" "${share[@]}"
  else
    local mpirun told='' code=0
    mpirun -n "$ranks" "${OUTSOLE_MPIRUN_OPTIONS[@]}" "${outsole[@]}" "$@" "${share[@]}" &
    mpirun=$!
    trap 'told=1; pkill -TERM --parent "$mpirun"' TERM
    wait "$mpirun" || code=$?
    if [ -n "$told" ]; then   # which ended the first wait
      wait "$mpirun" || code=$?
    fi
    return "$code"
  fi
}
