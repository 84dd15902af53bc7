#!/bin/bash
# A Slurm of one machine for tests, with two nodes that are the same machine: cluster.sh start|stop FOLDER
# Needs root, and Debian's slurm-wlm and munge. Everything it writes lies in FOLDER; nothing of the system's own Slurm
# is touched. Commands find it by SLURM_CONF=FOLDER/slurm.conf.
set -euo pipefail
act=$1 folder=$(realpath -m "$2")
host=$(hostname -s)

wait_for() {  # seconds, command
  local until=$((SECONDS + $1)); shift
  until "$@" > /dev/null 2>&1; do
    [ $SECONDS -lt $until ] || { echo "no success within time: $*" >&2; return 1; }
    sleep 0.2
  done
}

stop() {
  # Jobs of a test that failed would outlive the daemons.
  if [ -s "$folder/slurmctld.pid" ]; then
    export SLURM_CONF=$folder/slurm.conf
    timeout 10 scancel --signal=KILL --full --user="$(id -un)" > /dev/null 2>&1 || true
    timeout 10 scancel --user="$(id -un)" > /dev/null 2>&1 || true
    for _ in $(seq 50); do [ -n "$(timeout 10 squeue -h 2> /dev/null)" ] || break; sleep 0.2; done
  fi
  for name in slurmd-n2 slurmd-n1 slurmctld munged; do
    if [ -s "$folder/$name.pid" ]; then
      pid=$(cat "$folder/$name.pid")
      kill "$pid" 2> /dev/null || true
      for _ in $(seq 50); do kill -0 "$pid" 2> /dev/null || break; sleep 0.1; done
      kill -9 "$pid" 2> /dev/null || true
      rm -f "$folder/$name.pid"
    fi
  done
}

if [ "$act" = stop ]; then stop; exit; fi

mkdir -p "$folder"/{state,n1,n2}
chmod 755 "$folder"
head -c 64 /dev/urandom > "$folder/munge.key"
chmod 600 "$folder/munge.key"
ports=($(python3 - << 'END'
import socket
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
print(*(one.getsockname()[1] for one in held))
END
))
cat > "$folder/slurm.conf" << END
ClusterName=wellstream
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket,cred_expire=5
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
ReturnToService=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2,sched_min_interval=0,batch_sched_delay=0
MinJobAge=600
KillWait=5
InactiveLimit=0
SlurmctldTimeout=30
SlurmdTimeout=30
UnkillableStepTimeout=30
MessageTimeout=20
LaunchParameters=enable_nss_slurm
SlurmctldPort=${ports[0]}
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/%n
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd-%n.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd-%n.log
SlurmctldDebug=info
SlurmdDebug=info
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=${ports[1]} CPUs=4 RealMemory=1000 State=UNKNOWN
NodeName=n2 NodeHostname=$host NodeAddr=127.0.0.1 Port=${ports[2]} CPUs=4 RealMemory=1000 State=UNKNOWN
PartitionName=low Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=60 OverSubscribe=NO
PartitionName=high Nodes=n1,n2 MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF OverSubscribe=NO
END
export SLURM_CONF=$folder/slurm.conf
trap 'stop' ERR
munged --force --key-file="$folder/munge.key" --socket="$folder/munge.socket" --pid-file="$folder/munged.pid" \
  --seed-file="$folder/munge.seed" --log-file="$folder/munged.log"
slurmctld -c
wait_for 20 scontrol ping
for node in n1 n2; do slurmd -N "$node"; done
wait_for 60 bash -c 'test "$(sinfo -h -p low -t idle -o %D)" = 2'
sinfo
