#!/usr/bin/env bash
# A Slurm of three nodes on 127.0.0.1, for tests: `up.sh FOLDER`, and then SLURM_CONF=FOLDER/etc/slurm.conf for its commands.
# Several can be up at a time, each with nodes of other numbers; the machine's own configuration stays as it is.
# Needs root and Debian's slurmctld, slurmd, slurm-client, slurm-wlm-basic-plugins, munge. `down.sh FOLDER` takes it away.
# FIRST=1 NODES=3   the number of the first node, after which ports and jobs are numbered too, and how many there are
# CPUS=4 MEM_MB=64000 GPUS=1   of each node; Slurm believes it (config_overrides), whatever the machine has
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
base=$(mkdir -p "$1" && cd "$1" && pwd)
first=${FIRST:-1} nodes=${NODES:-3} cpus=${CPUS:-4} mem_mb=${MEM_MB:-64000} gpus=${GPUS:-1}
last=$((first + nodes - 1)) host=$(hostname -s)
"$here/down.sh" "$base" # what was left half up
mkdir -p "$base"/{etc,run,log,dev,munge,spool/ctld}
for i in $(seq "$first" "$last"); do mkdir -p "$base/spool/n$i"; done
chmod 755 "$base" "$base"/*
rm -f "$base"/log/*

# 1. A munge of our own: its key and its socket are not the machine's.
chown munge: "$base/munge"
[ -s "$base/munge/key" ] || dd if=/dev/urandom of="$base/munge/key" bs=128 count=1 status=none
chown munge: "$base/munge/key" && chmod 400 "$base/munge/key"
setpriv --reuid munge --regid munge --clear-groups munged --force --key-file="$base/munge/key" --socket="$base/munge/sock" \
  --pid-file="$base/munge/pid" --log-file="$base/munge/log" --seed-file="$base/munge/seed" 2>/dev/null

# 2. GPUs: devices that are /dev/null. With a File= Slurm sets CUDA_VISIBLE_DEVICES as for real ones.
for g in $(seq 0 $((gpus - 1))); do [ -c "$base/dev/gpu$g" ] || mknod "$base/dev/gpu$g" c 1 3; done
for i in $(seq "$first" "$last"); do
  for g in $(seq 0 $((gpus - 1))); do echo "NodeName=n$i Name=gpu Type=fake File=$base/dev/gpu$g"; done
done >"$base/etc/gres.conf"

# 3. Where cgroups of version 1 can be written, memory is limited and a job's processes all end with it.
if [ -w /sys/fs/cgroup/memory ] && [ -w /sys/fs/cgroup/freezer ]; then
  printf '%s\n' CgroupPlugin=cgroup/v1 CgroupMountpoint=/sys/fs/cgroup ConstrainRAMSpace=yes >"$base/etc/cgroup.conf"
  limits="ProctrackType=proctrack/cgroup
TaskPlugin=task/cgroup
JobAcctGatherType=jobacct_gather/cgroup"
else
  : >"$base/etc/cgroup.conf"
  limits="ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherParams=OverMemoryKill"
fi

# 4. One controller; every node is this machine, at a port of its own. Addresses other than loopback are not listened on.
{
  cat <<CONF
ClusterName=darkroom
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$((16800 + first))
FirstJobId=$((1000 * first))
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$base/munge/sock,cred_expire=30
CredType=cred/munge
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
MpiDefault=none
SwitchType=switch/none
$limits
JobAcctGatherFrequency=task=1
PropagateResourceLimits=NONE
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
GresTypes=gpu
AccountingStorageType=accounting_storage/none
StateSaveLocation=$base/spool/ctld
SlurmdSpoolDir=$base/spool/%n
SlurmctldPidFile=$base/run/slurmctld.pid
SlurmdPidFile=$base/run/slurmd-%n.pid
SlurmctldLogFile=$base/log/slurmctld.log
SlurmdLogFile=$base/log/slurmd-%n.log
ReturnToService=2
SlurmctldTimeout=10
SlurmdTimeout=20
InactiveLimit=0
KillWait=5
MinJobAge=300
CompleteWait=0
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,bf_interval=1,sched_interval=1,sched_min_interval=0
CONF
  for i in $(seq "$first" "$last"); do
    echo "NodeName=n$i NodeHostname=$host NodeAddr=127.0.0.1 Port=$((17000 + i)) CPUs=$cpus RealMemory=$mem_mb Gres=gpu:fake:$gpus"
  done
  echo "PartitionName=gpu Nodes=n[$first-$last] Default=YES MaxTime=INFINITE State=UP"
} >"$base/etc/slurm.conf"
# 5. The daemons. Nodes whose state was lost are idle once they have registered.
export SLURM_CONF=$base/etc/slurm.conf
slurmctld -c
for i in $(seq "$first" "$last"); do "$here/node.sh" "$base" "n$i"; done
for _ in $(seq 300); do
  [ "$(sinfo -h -N -t idle -o %N 2>/dev/null | sort -u | wc -l)" = "$nodes" ] && exit 0
  sleep 0.1
done
echo "the nodes are not idle after 30 s: $base/log" >&2
exit 1
