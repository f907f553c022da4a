# What a site edits, once: how jobs are asked for and how ranks are started here. All scripts of this folder read it;
# OUTSOLE_SITE names another file to read instead.
# shellcheck shell=bash disable=SC2034  # the scripts that source this file use the settings
OUTSOLE_HOME=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)   # the folder of outsole, seen by all nodes

# --- The program ---
OUTSOLE_EXECUTABLE=$OUTSOLE_HOME/build/release/outsole
for built in "$OUTSOLE_HOME"/build/program/outsole "$OUTSOLE_HOME"/../../bin/outsole; do   # the program alone; installed
  [ -x "$OUTSOLE_EXECUTABLE" ] || [ ! -x "$built" ] || OUTSOLE_EXECUTABLE=$built
done
OUTSOLE_MODULES=()                # loaded before it runs: (gcc/12 openmpi/4.1 hdf5/1.14 opencv/4.9)
OUTSOLE_CONTAINER=                # run it in this Apptainer image instead: /path/outsole.sif (see outsole.def)
OUTSOLE_CONTAINER_OPTIONS=()      # folders of data, GPUs: (--bind /scratch --nv)

# --- The queue ---
OUTSOLE_SBATCH_OPTIONS=()         # of every job: (--account=forensics --partition=standard --mail-type=FAIL)
OUTSOLE_GPU_SBATCH_OPTIONS=()     # of jobs on GPU nodes, after those: (--partition=gpu)

# --- A node's shape ---
OUTSOLE_RANKS_PER_NODE=2          # on CPU nodes; one rank a socket (or NUMA domain) is a good start
OUTSOLE_CORES_PER_RANK=16
OUTSOLE_MEMORY_GIB_PER_RANK=32
OUTSOLE_GPUS_PER_NODE=0           # above 0: index, search, train and predict go to GPU nodes, one rank a GPU

# --- How ranks are started ---
OUTSOLE_LAUNCHER=srun             # srun (best: a signal reaches the ranks at once) or mpirun
OUTSOLE_SRUN_OPTIONS=(--mpi=pmix --cpu-bind=cores)
OUTSOLE_MPIRUN_OPTIONS=(--bind-to core)

# --- Sizes: nodes and time follow from `outsole JOB --plan`, within these ---
OUTSOLE_WANTED_MINUTES=60         # nodes are added until a job is estimated to take this long
OUTSOLE_MAX_NODES=8
OUTSOLE_MAX_MINUTES=720           # the partition's time limit; a longer job is requeued and carries on
OUTSOLE_MAX_RESTARTS=50           # a job requeues itself at most this often
