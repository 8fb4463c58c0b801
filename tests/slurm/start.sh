#!/bin/sh
# A Slurm cluster of this one machine, as root: Debian's slurm-wlm and munge, with `accounting` slurmdbd and mariadb too.
#   tests/slurm/start.sh [accounting] FOLDER     state and logs in FOLDER; tests/slurm/stop.sh ends it
set -eu
storage="AccountingStorageType=accounting_storage/none"
if [ "$1" = accounting ]; then
    shift
    storage="AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=localhost"
fi
mkdir -p "$1/state" "$1/spool" && place=$(cd "$1" && pwd)
host=$(hostname -s)

mkdir -p /run/munge
[ -s /etc/munge/munge.key ] || dd if=/dev/urandom of=/etc/munge/munge.key bs=1024 count=1 status=none
chown munge: /etc/munge/munge.key /run/munge
chmod 400 /etc/munge/munge.key
chmod 755 /run/munge
pgrep -x munged >/dev/null || runuser -u munge -- munged

cat >/etc/slurm/slurm.conf <<EOF
ClusterName=here
SlurmctldHost=$host
SlurmUser=root
AuthType=auth/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=2
StateSaveLocation=$place/state
SlurmdSpoolDir=$place/spool
SlurmctldPidFile=$place/slurmctld.pid
SlurmdPidFile=$place/slurmd.pid
SlurmctldLogFile=$place/slurmctld.log
SlurmdLogFile=$place/slurmd.log
$storage
NodeName=$host CPUs=$(nproc) RealMemory=$(free -m | awk '/^Mem/ {print $2 - 1000}') State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
EOF

case "$storage" in *slurmdbd*)
    mkdir -p /run/mysqld && chown mysql: /run/mysqld
    pgrep -x mariadbd >/dev/null || runuser -u mysql -- mariadbd >"$place/mariadb.log" 2>&1 &
    until mysqladmin --silent ping >/dev/null 2>&1; do sleep 1; done
    mysql -e "create database if not exists slurm_acct_db;
              create user if not exists slurm@localhost identified by 'slurm';
              grant all on slurm_acct_db.* to slurm@localhost"
    cat >/etc/slurm/slurmdbd.conf <<EOF
DbdHost=localhost
SlurmUser=root
StorageType=accounting_storage/mysql
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
LogFile=$place/slurmdbd.log
PidFile=$place/slurmdbd.pid
EOF
    chmod 600 /etc/slurm/slurmdbd.conf
    pgrep -x slurmdbd >/dev/null || slurmdbd
    until sacctmgr -n show cluster >/dev/null 2>&1; do sleep 1; done
    sacctmgr -i add cluster here >/dev/null || true # what is there already is no error here
    sacctmgr -i add account kit >/dev/null || true
    sacctmgr -i add user root account=kit defaultaccount=kit adminlevel=admin >/dev/null || true
    ;;
esac
slurmctld -c
slurmd
until sinfo -h -o %T | grep -q idle; do sleep 1; done
sinfo
