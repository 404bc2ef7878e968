#!/usr/bin/env bash
# Starts a Slurm of one machine (controller, node, authentication) with its state in a folder:
#   tests/slurm/start.sh FOLDER CORES
# As root, with Debian's slurmctld, slurmd, slurm-client and munge installed. Prints the path of
# slurm.conf, for SLURM_CONF; the process ids are in FOLDER/*.pid, which stop.sh ends.
set -euo pipefail
folder=$(realpath "$1")
cores=$2
host=$(hostname -s)
mkdir -p "$folder"/{state,spool,munge}

dd if=/dev/urandom of="$folder/munge/key" bs=128 count=1 status=none
chmod 700 "$folder/munge"
chmod 400 "$folder/munge/key"
socket=$(mktemp -u /tmp/munge.XXXXXX) # a path that is short enough for a socket
# --force: the folders around it may be written by others, as /tmp may.
munged --force --key-file "$folder/munge/key" --socket "$socket" --pid-file "$folder/munged.pid" \
    --log-file "$folder/munge/log" --seed-file "$folder/munge/seed"

cat > "$folder/slurm.conf" <<END
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmctldPort=16817
SlurmdPort=16818
AuthType=auth/munge
# A job that is queued again waits for as long as a credential is valid; by default 120 s.
AuthInfo=socket=$socket,cred_expire=10
CredType=cred/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
KillWait=2
MinJobAge=10
# A machine that is said to have more cores than it has is accepted.
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=1,sched_interval=2
MpiDefault=none
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cores State=UNKNOWN
PartitionName=main Nodes=$host Default=YES MaxTime=INFINITE State=UP
END
export SLURM_CONF="$folder/slurm.conf"
slurmctld
slurmd
for _ in $(seq 100); do
    if [ "$(sinfo --noheader --format=%t 2>/dev/null)" = idle ]; then
        echo "$SLURM_CONF"
        exit
    fi
    sleep 0.2
done
tail -n 20 "$folder"/slurm*.log >&2
echo "Slurm did not start" >&2
exit 1
