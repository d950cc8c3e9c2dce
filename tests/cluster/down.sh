#!/usr/bin/env bash
# Stops what `up.sh FOLDER` started, by the process ids that its daemons wrote.
set -uo pipefail
base=$1
export SLURM_CONF=$base/etc/slurm.conf

is_alive() { # a zombie is not: who should reap it may be slow
  local state
  state=$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -c1)
  [ -n "$state" ] && [ "$state" != Z ]
}

stop() { # PIDFILE NAME: only where the process is still what it was
  local pid
  pid=$(cat "$1" 2>/dev/null) || return 0
  if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$2" ]; then
    kill "$pid"
    for _ in $(seq 100); do is_alive "$pid" || break; sleep 0.1; done
    ! is_alive "$pid" || kill -9 "$pid"
  fi
  rm -f "$1"
}

# Jobs first, so that none of their processes outlives its slurmd.
if [ -e "$base/run/slurmctld.pid" ] && is_alive "$(cat "$base/run/slurmctld.pid")"; then
  jobs=$(timeout 5 squeue -h -o %A | sort -u)
  [ -z "$jobs" ] || timeout 10 scancel $jobs
  for _ in $(seq 100); do [ -n "$(timeout 5 squeue -h)" ] || break; sleep 0.1; done
fi
for file in "$base"/run/slurmd-*.pid; do [ ! -e "$file" ] || stop "$file" slurmd; done
stop "$base/run/slurmctld.pid" slurmctld
stop "$base/munge/pid" munged
exit 0
