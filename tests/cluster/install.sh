#!/bin/sh
# Installs the Slurm of a Debian, starts none of its daemons, and what its tests drop packets and mount folders with.
set -e
policy=/usr/sbin/policy-rc.d # asked before a daemon is started
[ -e $policy ] || { printf '#!/bin/sh\nexit 101\n' >$policy && chmod +x $policy && trap "rm $policy" EXIT; }
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
  slurmctld slurmd slurm-client slurm-wlm-basic-plugins munge iptables bindfs gcc libc6-dev
