# What a site edits, once: how jobs are asked for and how ranks are started here. All scripts of this folder read it;
# OUTSOLE_SITE names another file to read instead, such as a copy of this one in your own folder. What a copy of an older
# version does not set is as it is here.
# shellcheck shell=bash disable=SC2034  # the scripts that source this file use the settings
OUTSOLE_HOME=${OUTSOLE_HOME:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)}   # the folder of outsole, seen by all nodes

# --- The program ---
OUTSOLE_EXECUTABLE=$OUTSOLE_HOME/build/release/outsole
for built in "$OUTSOLE_HOME"/build/program/outsole "$OUTSOLE_HOME"/../../bin/outsole; do   # the program alone; installed
  [ -x "$OUTSOLE_EXECUTABLE" ] || [ ! -x "$built" ] || OUTSOLE_EXECUTABLE=$built
done
OUTSOLE_MODULES=()                # loaded before it runs: (gcc/12 openmpi/4.1 hdf5/1.14 opencv/4.9)
OUTSOLE_CONTAINER=                # run it in this Apptainer image instead: /path/outsole.sif (see outsole.def)
OUTSOLE_CONTAINER_OPTIONS=()      # folders of data, GPUs: (--bind /scratch --nv)

# --- The queue ---
OUTSOLE_SBATCH_OPTIONS=()         # of every job: (--account=forensics --mail-type=FAIL)
OUTSOLE_CPU_SBATCH_OPTIONS=()     # of jobs on CPU nodes, after those: (--partition=standard)
OUTSOLE_GPU_SBATCH_OPTIONS=()     # of jobs on GPU nodes instead: (--partition=gpu)
OUTSOLE_SMALL_SBATCH_OPTIONS=()   # of small steps on one core, after those of CPU nodes: (--partition=short)

# --- A node's shape ---
OUTSOLE_RANKS_PER_NODE=2          # on CPU nodes; one rank a socket (or NUMA domain) is a good start
OUTSOLE_CORES_PER_RANK=16
OUTSOLE_MEMORY_GIB_PER_RANK=32
OUTSOLE_GPUS_PER_NODE=0           # above 0: index, search, train and predict go to GPU nodes, one rank a GPU
OUTSOLE_GPU_CORES_PER_RANK=       # of a rank on a GPU node, where they differ
OUTSOLE_GPU_MEMORY_GIB_PER_RANK=
# How GPUs are asked for, %n a node; other sites: (--gres=gpu:%n), (--gres=gpu:a100:%n). --gpu-bind=none lets ranks reach
# each other's GPU; leave it out where Slurm does not know it.
OUTSOLE_GPU_OPTIONS=(--gpus-per-node=%n --gpu-bind=none)
OUTSOLE_SMALL_MEMORY_GIB=8        # of steps that are no work for ranks: evaluate retrieval, validate, export, ...

# --- How ranks are started ---
OUTSOLE_LAUNCHER=srun             # srun (best: a signal reaches the ranks at once) or mpirun
OUTSOLE_SRUN_OPTIONS=(--mpi=pmix --cpu-bind=cores)
OUTSOLE_MPIRUN_OPTIONS=(--bind-to core)

# --- Sizes: nodes and time follow from `outsole JOB --plan`, within these ---
OUTSOLE_WANTED_MINUTES=60         # nodes are added until a job is estimated to take this long
OUTSOLE_MAX_NODES=8
OUTSOLE_MAX_MINUTES=720           # the partition's time limit; a longer job is requeued and carries on
OUTSOLE_SMALL_MINUTES=60          # what a small step asks for until its plan is known
OUTSOLE_PLANS_HERE=no             # yes: measure for a plan where submit.sh runs, which on a login node is not welcome
OUTSOLE_MAX_RESTARTS=50           # a job requeues itself at most this often
