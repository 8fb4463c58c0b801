#!/bin/sh
# End what tests/slurm/start.sh began, and wait for it.
for name in slurmd slurmctld slurmdbd mariadbd munged; do
    pkill -x "$name" || true
    while pgrep -x "$name" >/dev/null; do sleep 0.2; done
done
