#!/usr/bin/env bash
# Starts a node of the Slurm that `up.sh FOLDER` started: `node.sh FOLDER n1`. What is mounted on a node is there alone: its
# configuration too, at the usual place, since Snakemake's plugin takes SLURM_CONF out of a job's environment.
set -euo pipefail
mkdir -p /etc/slurm
exec unshare --mount sh -c 'mount --bind "$1/etc" /etc/slurm && unset SLURM_CONF && exec slurmd -N "$2"' sh "$1" "$2"
