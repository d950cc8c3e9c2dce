"""One scorer over the pictures of an experiment, where no model is needed."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from darkroom.record.rows import Record
from darkroom.review.scores.command import run_command
from darkroom.review.scores.pixels import change, diversity
from darkroom.scoring.scorer import CHANGE, DIVERSITY, Scorer


def score_without_model(
    name: str, scorer: Scorer, records: Sequence[Record], manifest: Path
) -> Mapping[str, Mapping[str, float]]:
    """Columns by name, numbers by request_id. StoreError where there is nothing to score by."""
    if scorer.kind == CHANGE:
        return {name: change(records)}
    if scorer.kind == DIVERSITY:
        return {name: diversity(records)}
    known = [record.request_id for record in records]
    return run_command(f"conf/score/{name}.yaml: command", scorer.command or "", manifest, known)
