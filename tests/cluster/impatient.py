"""Snakemake that looks after its jobs every second: what a person waits for between two looks, tests need not.

python tests/cluster/impatient.py …      as python -m snakemake …
"""

from snakemake.cli import main
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

# Slurm's plugin waits longer after each look, up to three minutes.
RemoteExecutor.next_seconds_between_status_checks = property(lambda self: 1, lambda self, seconds: None)

main()
