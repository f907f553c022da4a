#!/usr/bin/env bash
# Runs the scripts of slurm/ on a real Slurm of its own: slurm_test.sh OUTSOLE_EXECUTABLE [TEST...]
# Ends with 77 (skipped) where no Slurm can run, 1 when a test failed.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
scripts=$(cd "$here/../../slurm" && pwd)
executable=$(realpath "$1")
# shellcheck source=tests/slurm/cluster.sh
source "$here/cluster.sh"

missing=$(cluster_misses)
if [ -n "$missing" ]; then
  echo "skipped: a Slurm of its own needs $missing"
  echo "slurm: a Slurm of its own needs $missing" >>"${OUTSOLE_SKIPPED:-/dev/null}"
  exit 77
fi

# --- Around the tests -----------------------------------------------------------------------------------------------

folder=$(mktemp -d /tmp/outsole-slurm-XXXXXX)
chmod 755 "$folder"   # munged, which is not root, goes through it
clean_up() {
  stop_cluster
  rm -rf "$folder" || rm -rf "$folder" || true  # a step daemon may still be leaving
}
trap clean_up EXIT

failures=0
fail() {
  echo "  FAILED: $*"
  failures=$((failures + 1))
}
expect_equal() { [ "$2" == "$3" ] || fail "$1: expected '$2', got '$3'"; }
expect_in_file() { grep -q -- "$1" "$2" || fail "$2 does not say '$1': $(tail -n 5 "$2")"; }

# within SECONDS COMMAND...: waits until the command succeeds.
within() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    if [ "$SECONDS" -ge "$deadline" ]; then
      fail "not within its time: $*"
      squeue --all
      return 1
    fi
    sleep 0.05
  done
}

job_field() { scontrol --oneliner show job "$1" | grep -o " $2=[^ ]*" | head -n 1 | cut -d= -f2; }
job_is() { [[ "$(job_field "$1" JobState)" =~ ^($2)$ ]]; }
ended='COMPLETED|FAILED|CANCELLED|TIMEOUT|NODE_FAIL'
wait_for_end() { within 180 job_is "$1" "$ended"; }
expect_state() { wait_for_end "$1" && expect_equal "state of job $1" "$2" "$(job_field "$1" JobState)"; }

# The processes of a job's ranks.
ranks_of() {
  local process
  for process in /proc/[0-9]*; do
    if [ "$(readlink "$process/exe")" == "$executable" ] &&
      grep -qz "^SLURM_JOB_ID=$1$" "$process/environ" 2>/dev/null; then
      basename "$process"
    fi
  done
}
# freeze JOB FILE: stops the job's ranks as soon as the file exists, so that what happens next finds them at work.
freeze() {
  within 60 test -e "$2" && ranks_of "$1" | xargs kill -STOP
}
thaw() { ranks_of "$1" | xargs --no-run-if-empty kill -CONT; }

# Whether TERM waits for the job's frozen ranks.
has_been_told_to_end() {
  local process
  for process in $(ranks_of "$1"); do
    (($(awk '/^ShdPnd/ {print "0x" $2}' "/proc/$process/status") & 1 << 14)) || return
  done
}

# What is left of a node that loses its power while it runs the job: nothing, its /tmp included.
crash_node() {
  local process
  kill -KILL "$(cat "$folder/cluster/slurmd-$1.pid")"
  for process in /proc/[0-9]*; do
    if grep -qz "^SLURM_JOB_ID=$2$" "$process/environ" 2>/dev/null ||
      grep -q "^slurmstepd: \[$2\." "$process/cmdline" 2>/dev/null; then
      kill -KILL "$(basename "$process")" 2>/dev/null || true
    fi
  done
  rm -rf "/tmp/spmix_appdir_0_$2".*
}

digests() { (cd "$1" && find . -path ./logs -prune -o -name '*.h5' -print0 | sort -z | xargs -0 sha256sum); }
expect_same_bytes() { expect_equal "bytes in $1" "$(digests "$folder/undisturbed" | grep "$2")" "$(digests "$1" | grep "$2")"; }

# starts_of NAME: what the ranks of Slurm jobs of that name were started with, a line a start of all ranks.
starts_of() { sed -n "s/^$1: //p" "$folder/starts"; }

submit() { (cd "$folder" && "$scripts/submit.sh" "$@"); }
# start_search NAME: submits the search of all marks into the folder NAME.
start_search() {
  mkdir -p "$folder/$1"
  submit --name "$1" --logs "$1" search --index undisturbed/index.h5 --marks marks --output "$1/results.h5"
}
log_of() { echo "$folder/$1/$1-$2.log"; }
# search_again NAME: the same command once more, which must end well with the same bytes.
search_again() {
  local job
  job=$(start_search "$1")
  expect_state "$job" COMPLETED
  expect_same_bytes "$folder/$1" results
}

# expect_planned_time RUN.STEP: the step has the time that its plan asked for, which is less than the longest.
expect_planned_time() {
  local words   # job ID, outsole STEP: NODES nodes, MINUTES minutes
  read -ra words < <(grep '^job ' "$folder/${1%%.*}/logs/$1.size-"*.log)
  expect_equal "time limit of $1, from its plan" "00:${words[6]}:00" "$(job_field "${words[1]%,}" TimeLimit)"
  [ "${words[6]}" -lt 60 ] || fail "the plan of $1 asks for the longest time"
}

start_pipeline() { # NAME: prints "STEP job ID" lines
  cat >"$folder/$1.sh" <<END
results=$1
exemplars=(exemplars)
marks=(marks)
labels=marks/labels.csv
END
  (cd "$folder" && "$scripts/pipeline.sh" "$1.sh")
}
job_of_step() { sed -n "s/^$1 *job \([0-9]*\)$/\1/p"; }

# An undisturbed run of the whole pipeline, at the first call, for all tests that look at one.
run_pipeline() {
  [ ! -e "$folder/pipeline.done" ] || return 0
  expect_state "$(start_pipeline pipeline | job_of_step validate)" COMPLETED
  touch "$folder/pipeline.done"
}

# --- The tests ------------------------------------------------------------------------------------------------------

ThePipelineEndsWithTheBytesOfAnUndisturbedRun() {
  run_pipeline
  expect_same_bytes "$folder/pipeline" .
  grep -q '"top_k"' "$folder/pipeline/evaluation.json" || fail "no evaluation"
  expect_planned_time pipeline.search
}

EveryStepIsPlannedAsItRuns() {
  local step
  run_pipeline
  for step in index search; do
    expect_equal "ranks of $step" "2 ranks x 2 cores of 2048 MiB: --memory-gib 0.89 --threads 2" \
      "$(starts_of "pipeline.$step")"
  done
  expect_equal "ranks of evaluate" "1 ranks x 1 cores of 1024 MiB: --memory-gib 0.89 --threads 1" \
    "$(starts_of pipeline.evaluate)"
  for step in index search evaluate validate; do
    expect_equal "planning of $step" "$(starts_of "pipeline.$step")" "$(starts_of "pipeline.$step.size")"
  done
  expect_planned_time pipeline.evaluate
}

AStepOnGpusIsPlannedOnOne() {
  local job
  mkdir -p "$folder/gpus"
  job=$(OUTSOLE_TEST_GPUS=1 submit --name gpus --logs gpus index --exemplars undisturbed/exemplars.h5 \
    --output gpus/index.h5)
  expect_state "$job" COMPLETED
  expect_equal "ranks" "1 ranks x 2 cores of 1024 MiB, 1 GPUs a node: --memory-gib 0.89 --threads 2" "$(starts_of gpus)"
  expect_equal "planning" "$(starts_of gpus)" "$(starts_of gpus.size)"
}

AWaitingJobGetsTheNodesThatItsPlanAsksFor() {
  local job
  printf 'plan: ranks=%s memory_bytes=1e+08\n' "2 seconds=9e+03" "4 seconds=1.2e+03" >"$folder/plan"
  job=$(OUTSOLE_TEST_GPUS=2 OUTSOLE_TEST_MPI=none start_search grown)
  wait_for_end "$job"
  rm "$folder/plan"
  expect_equal "nodes" 2 "$(job_field "$job" NumNodes)"
  expect_equal "time limit" 00:50:00 "$(job_field "$job" TimeLimit)"
  expect_equal "ranks" "4 ranks x 2 cores of 2048 MiB, 2 GPUs a node: --memory-gib 0.89 --threads 2" "$(starts_of grown)"
}

WhatTheCommandSaysItselfIsNotSaidTwice() {
  local job
  mkdir -p "$folder/own"
  echo 'memory-gib = 0.8' >"$folder/own/search.ini"
  job=$(submit --name own --logs own search --index undisturbed/index.h5 --marks marks --output own/results.h5 \
    --config own/search.ini --threads=1)
  expect_state "$job" COMPLETED
  expect_equal "ranks" "2 ranks x 2 cores of 2048 MiB:" "$(starts_of own)"
  expect_same_bytes "$folder/own" results
}

SizesFollowFromThePlan() {
  (
    # shellcheck source=slurm/environment.sh
    source "$scripts/environment.sh"
    # shellcheck source=slurm/allocation.sh
    source "$scripts/allocation.sh"
    # shellcheck disable=SC2034
    OUTSOLE_MAX_NODES=8 OUTSOLE_WANTED_MINUTES=60 OUTSOLE_MAX_MINUTES=720
    # expect SIZE WHY "RANKS SECONDS BYTES"...
    expect() {
      local size
      size=$(size_of_plan "$(printf 'plan: ranks=%s seconds=%s memory_bytes=%s\n' "${@:3}")" search)
      [ "$size" == "$1" ] || echo "$2: not $1 but $size"
    }
    expect "1 13" "a short job gets one node" 2 100 1e8 4 50 1e8
    expect "3 126" "the fewest nodes for the wanted time" 2 9e3 1e8 4 4e3 1e8 6 3.5e3 1e8 8 3e3 1e8
    expect "1 310" "nodes that do not help are not asked for" 2 9e3 1e8 4 8.9e3 1e8 6 8.8e3 1e8
    expect "1 720" "no more than the longest time" 2 9e4 1e8
    expect "2 10" "as many nodes as the memory of a rank needs" 2 9 3e9 4 9 1e9
    [ "$(size_of_plan "time          not known" search)" == "1 720" ] || echo "an unknown time is the longest"
  ) >"$folder/sizes"
  expect_equal "sizes" "" "$(cat "$folder/sizes")"
}

AJobAtItsTimeLimitIsRequeuedAndCarriesOn() {
  local job
  mkdir -p "$folder/time_limit"
  job=$(cd "$folder" && sbatch --parsable --ntasks=2 --time=1 --signal=TERM@50 --mem=2G --output=time_limit/log \
    "$scripts/job.sbatch" search --index undisturbed/index.h5 --marks marks --output time_limit/results.h5)
  freeze "$job" "$folder/time_limit/results.shards/00000.h5"
  within 60 has_been_told_to_end "$job"
  thaw "$job"
  expect_state "$job" COMPLETED
  expect_equal "restarts" 1 "$(job_field "$job" Restarts)"
  expect_in_file "back to the queue" "$folder/time_limit/log"
  expect_same_bytes "$folder/time_limit" results
}

ACancelledJobIsNotRequeued() {
  local job
  job=$(start_search cancelled)
  freeze "$job" "$folder/cancelled/results.shards/00000.h5"
  scancel "$job"
  thaw "$job"
  expect_state "$job" CANCELLED
  search_again cancelled
}

APipelineThatLosesARankStopsSaysWhatToDoAndCarriesOn() {
  local jobs search validate
  jobs=$(start_pipeline killed)
  search=$(job_of_step search <<<"$jobs")
  freeze "$search" "$folder/killed/results.shards/00000.h5"
  kill -KILL "$(ranks_of "$search" | tail -n 1)"
  thaw "$search"
  expect_state "$search" FAILED
  expect_in_file "lower --memory-gib .* submit the same again" "$folder/killed/logs/killed.search-$search.log"
  expect_state "$(job_of_step evaluate <<<"$jobs")" CANCELLED
  expect_state "$(job_of_step validate <<<"$jobs")" CANCELLED
  validate=$(start_pipeline killed | job_of_step validate)
  expect_state "$validate" COMPLETED
  expect_same_bytes "$folder/killed" .
}

ACrashedNodeCostsNothingButTime() {
  local job node
  job=$(start_search crashed)
  freeze "$job" "$folder/crashed/results.shards/00000.h5"
  node=$(job_field "$job" NodeList)
  crash_node "$node" "$job"
  expect_state "$job" COMPLETED
  expect_equal "restarts" 1 "$(job_field "$job" Restarts)"
  expect_same_bytes "$folder/crashed" results
  start_node "$node"
}

JobsWaitForADrainedNodeAndRunWhenItResumes() {
  local job
  scontrol update NodeName=node1,node2 State=DRAIN Reason=maintenance
  job=$(start_search drained)
  within 30 job_is "$job" PENDING
  scontrol update NodeName=node1,node2 State=RESUME
  expect_state "$job" COMPLETED
  expect_same_bytes "$folder/drained" results
}

ABadFileIsNotRequeuedAndEndsTheChain() {
  local bad next
  mkdir -p "$folder/bad"
  cp -r "$folder"/undisturbed/index.* "$folder/bad"
  rm "$folder/bad/index.shards/00001.h5"
  bad=$(cd "$folder" && sbatch --parsable --ntasks=1 --time=5 --mem=1G --job-name=bad --output=bad/bad-%j.log \
    "$scripts/job.sbatch" search --index bad/index.h5 --marks marks --output bad/results.h5)
  next=$(submit --logs bad --after "$bad" validate bad/results.h5)
  expect_state "$bad" FAILED
  expect_equal "exit code" 3:0 "$(job_field "$bad" ExitCode)"
  expect_in_file "00001.h5" "$(log_of bad "$bad")"
  expect_in_file "a file is bad" "$(log_of bad "$bad")"
  expect_state "$next" CANCELLED
}

AWrongCommandIsRefusedBeforeItIsSubmitted() {
  local refusal
  refusal=$(submit index --exemplars absent.h5 --output refused.h5 2>&1) && fail "was submitted: $refusal"
  [[ "$refusal" == *absent.h5* ]] || fail "does not name the file: $refusal"
}

RestartsAreBounded() {
  local job
  job=$(OUTSOLE_TEST_MAX_RESTARTS=0 start_search bounded)
  freeze "$job" "$folder/bounded/results.shards/00000.h5"
  scancel --signal=TERM "$job"
  thaw "$job"
  expect_state "$job" FAILED
  expect_equal "exit code" 75:0 "$(job_field "$job" ExitCode)"
  expect_in_file "raise OUTSOLE_MAX_RESTARTS" "$(log_of bounded "$job")"
}

GroupsOfMarksFindWhatOneSearchFinds() {
  local gather
  gather=$(cd "$folder" && "$scripts/search_array.sh" 3 groups marks --index undisturbed/index.h5 |
    sed 's/.*gather: job \([0-9]*\).*/\1/')
  expect_state "$gather" COMPLETED
  expect_equal "candidates" "$(sort "$folder/undisturbed/candidates.csv" | sha256sum)" \
    "$(sort "$folder/groups/candidates.csv" | sha256sum)"
}

# --- One after another ----------------------------------------------------------------------------------------------

cat >"$folder/site.sh" <<END
OUTSOLE_HOME=$(dirname "$scripts")
OUTSOLE_EXECUTABLE=$folder/outsole
OUTSOLE_MODULES=() OUTSOLE_CONTAINER='' OUTSOLE_CONTAINER_OPTIONS=()
OUTSOLE_SBATCH_OPTIONS=() OUTSOLE_GPU_SBATCH_OPTIONS=()
OUTSOLE_RANKS_PER_NODE=2 OUTSOLE_CORES_PER_RANK=2 OUTSOLE_MEMORY_GIB_PER_RANK=1
OUTSOLE_GPUS_PER_NODE=\${OUTSOLE_TEST_GPUS:-0}
OUTSOLE_PLANS_HERE=yes
OUTSOLE_LAUNCHER=srun OUTSOLE_SRUN_OPTIONS=(--mpi=\${OUTSOLE_TEST_MPI:-pmix}) OUTSOLE_MPIRUN_OPTIONS=()
OUTSOLE_WANTED_MINUTES=60 OUTSOLE_MAX_NODES=2 OUTSOLE_MAX_MINUTES=60
OUTSOLE_MAX_RESTARTS=\${OUTSOLE_TEST_MAX_RESTARTS:-5}
END
# shellcheck disable=SC2031
export OUTSOLE_SITE=$folder/site.sh

# The program, which first writes down what its ranks are started with. Where there is a file "plan", that is what --plan
# answers, and nothing runs: two nodes that are one machine cannot hold the ranks of one MPI.
cat >"$folder/outsole" <<END
#!/usr/bin/env bash
if [ "\${SLURM_PROCID:-0}" -eq 0 ] && [ -n "\${SLURM_JOB_ID:-}" ]; then
  options=\$(grep -oE -- ' --(memory-gib|threads) [0-9.]+' <<<" \$*" | tr -d '\n')
  echo "\$SLURM_JOB_NAME: \${SLURM_NTASKS:-1} ranks x \${SLURM_CPUS_PER_TASK:-1} cores of" \
    "\$SLURM_MEM_PER_NODE MiB\${SLURM_GPUS_PER_NODE:+, \$SLURM_GPUS_PER_NODE GPUs a node}:\$options" >>"$folder/starts"
fi
if [ -e "$folder/plan" ]; then
  cat "$folder/plan"
else
  exec "$executable" "\$@"
fi
END
chmod +x "$folder/outsole"

start_cluster "$folder/cluster"
(
  cd "$folder"
  outsole() { "$executable" "$@" --log-level error >/dev/null; }
  export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
  outsole synthesize exemplars --count 70 --size 96x48 --seed 1 --output exemplars
  outsole synthesize marks --exemplars exemplars --count 12 --seed 2 --output marks
  mkdir undisturbed
  outsole ingest --kind exemplars --input exemplars --output undisturbed/exemplars.h5
  outsole index --exemplars undisturbed/exemplars.h5 --output undisturbed/index.h5
  outsole search --index undisturbed/index.h5 --marks marks --output undisturbed/results.h5 \
    --csv undisturbed/candidates.csv
)

tests=(
  SizesFollowFromThePlan
  ThePipelineEndsWithTheBytesOfAnUndisturbedRun
  EveryStepIsPlannedAsItRuns
  AStepOnGpusIsPlannedOnOne
  AWaitingJobGetsTheNodesThatItsPlanAsksFor
  WhatTheCommandSaysItselfIsNotSaidTwice
  AJobAtItsTimeLimitIsRequeuedAndCarriesOn
  ACancelledJobIsNotRequeued
  RestartsAreBounded
  APipelineThatLosesARankStopsSaysWhatToDoAndCarriesOn
  JobsWaitForADrainedNodeAndRunWhenItResumes
  ABadFileIsNotRequeuedAndEndsTheChain
  AWrongCommandIsRefusedBeforeItIsSubmitted
  GroupsOfMarksFindWhatOneSearchFinds
  ACrashedNodeCostsNothingButTime
)
if [ $# -gt 1 ]; then
  tests=("${@:2}")
fi
failed=()
for name in "${tests[@]}"; do
  start=$SECONDS
  echo "$name"
  set +e   # the subshell ends at the first command that fails
  (
    set -e
    "$name"
    [ "$failures" -eq 0 ]
  )
  status=$?
  set -e
  if [ "$status" -eq 0 ]; then
    echo "  OK, $((SECONDS - start)) s"
  else
    failed+=("$name")
    tail -n 5 "$folder"/*/*.log "$folder"/*/logs/*.log 2>/dev/null || true
  fi
done
if [ ${#failed[@]} -gt 0 ]; then
  echo "failed: ${failed[*]}"
  exit 1
fi
