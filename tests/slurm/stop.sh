#!/usr/bin/env bash
# Ends what tests/slurm/start.sh has started: tests/slurm/stop.sh FOLDER
set -uo pipefail
for name in slurmd slurmctld munged; do
    [ -f "$1/$name.pid" ] && kill "$(cat "$1/$name.pid")"
done
true
