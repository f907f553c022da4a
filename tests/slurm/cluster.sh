# A Slurm of its own on this machine: munge, one controller, two nodes, each with four processors and
# two GPUs that need not be there: it is about who gets what, and all ranks share what the machine has. Source it.
# shellcheck shell=bash

# What a Slurm needs that is missing here; empty when it can run.
cluster_misses() {
  local command
  if [ "$(id -u)" -ne 0 ]; then
    echo "root, to start munged, slurmctld and slurmd"
    return
  fi
  for command in munged slurmctld slurmd sbatch; do
    if ! type -P "$command" >/dev/null; then
      echo "$command: apt-get install slurm-wlm munge"
      return
    fi
  done
}

free_port() {
  local port
  for port in $(shuf -i 20000-29999 -n 50); do
    if ! (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      echo "$port"
      return
    fi
  done
}

write_slurm_conf() {
  local folder=$1 node
  cat <<END
ClusterName=outsole
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=$(free_port)
AuthType=auth/munge
# A requeued job may start again once its old credential has expired: after seconds here, not two minutes.
AuthInfo=socket=$folder/munge/socket,cred_expire=5
SlurmUser=root
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool-%n
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd-%n.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
GresTypes=gpu
SchedulerParameters=sched_interval=2,bf_interval=1,batch_sched_delay=0,sched_min_interval=0,defer_batch
DependencyParameters=kill_invalid_depend
MpiDefault=pmix
ReturnToService=2
SlurmdTimeout=15
KillWait=5
OverTimeLimit=0
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
END
  for node in node1 node2; do
    echo "NodeName=$node NodeHostname=$(hostname -s) NodeAddr=127.0.0.1 Port=$(free_port) CPUs=4 Gres=gpu:2 RealMemory=4000"
  done
  echo "PartitionName=test Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO"
}

# start_node NAME
start_node() {
  mkdir -p "$cluster_folder/spool-$1"
  slurmd -N "$1" -f "$SLURM_CONF"
}

# start_cluster FOLDER: exports SLURM_CONF; fails with the logs when the nodes do not come up.
start_cluster() {
  cluster_folder=$1
  export SLURM_CONF=$cluster_folder/slurm.conf
  mkdir -p "$cluster_folder/munge" "$cluster_folder/state"
  head -c 128 /dev/urandom >"$cluster_folder/munge/key"
  chmod 755 "$cluster_folder" "$cluster_folder/munge"
  chmod 400 "$cluster_folder/munge/key"
  chown -R munge: "$cluster_folder/munge"
  setpriv --reuid=munge --regid=munge --clear-groups munged --key-file="$cluster_folder/munge/key" \
    --socket="$cluster_folder/munge/socket" --pid-file="$cluster_folder/munge/pid" \
    --log-file="$cluster_folder/munge/log" --seed-file="$cluster_folder/munge/seed"
  write_slurm_conf "$cluster_folder" >"$SLURM_CONF"
  touch "$cluster_folder/gpu0" "$cluster_folder/gpu1"
  echo "Name=gpu File=$cluster_folder/gpu[0-1]" >"$cluster_folder/gres.conf"
  slurmctld -f "$SLURM_CONF"
  start_node node1
  start_node node2
  local deadline=$((SECONDS + 30))
  while [ "$SECONDS" -lt "$deadline" ]; do
    if [ "$(sinfo --noheader --format=%T --Node 2>/dev/null | grep -c idle)" -eq 2 ]; then
      return
    fi
    sleep 0.2
  done
  tail -n 20 "$cluster_folder"/*.log >&2
  return 1
}

# Ends all daemons and their jobs, whatever state they are in.
stop_cluster() {
  scancel --full --user=root 2>/dev/null || true
  sleep 1
  local pid pid_file
  for pid_file in "$cluster_folder"/slurmd-*.pid "$cluster_folder"/slurmctld.pid "$cluster_folder"/munge/pid; do
    if [ -s "$pid_file" ]; then
      pid=$(cat "$pid_file")
      kill "$pid" 2>/dev/null || true
      timeout 20 tail --pid="$pid" -f /dev/null || kill -KILL "$pid" || true  # they write their state as they end
    fi
  done
}
