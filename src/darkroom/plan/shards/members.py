"""Completes the requests of a shard's combinations, in its job: the plan rule does the same where Snakemake began."""

import sys

from darkroom.errors import DarkroomError
from darkroom.plan.digests import write_requests
from darkroom.planned import Shard
from darkroom.store import ExperimentFolder, Store


def plan_members(folder: ExperimentFolder, run: str, shard: Shard, store: Store) -> None:
    """Into the run's staged folder. One that cannot be planned is left out: its own plan job tells the reason."""
    staged = folder.staged(run)
    for names in shard.members:
        if staged.requests(names).is_file():  # by an earlier attempt
            continue
        try:
            write_requests(folder.draft(names), folder.checkpoint(names.model), staged.requests(names), store)
        except DarkroomError as error:
            print(f"darkroom: {' / '.join(names)}: {error}", file=sys.stderr)
