"""How a checkpoint's pictures compared with their stored previews, in whichever experiment they were compared."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from darkroom.errors import DarkroomError
from darkroom.record.rows import read_record_table
from darkroom.review.inventory.experiments import experiment_folders
from darkroom.review.regress.comparison import Comparison, read_comparisons
from darkroom.review.regress.verdicts import VERDICTS
from darkroom.store import ExperimentFolder


@dataclass(frozen=True)
class Previewed:
    """The comparisons of its pictures, by experiment; `problems`: sentences on experiments that cannot be read."""

    comparisons: tuple[Comparison, ...]
    problems: tuple[str, ...]

    @property
    def told(self) -> tuple[str, ...]:
        """A line for each experiment: "my_job: 4 identical, 1 drifted"."""
        counts: dict[str, Counter[str]] = {}
        for each in self.comparisons:
            counts.setdefault(each.experiment, Counter())[each.verdict] += 1
        return tuple(
            f"{experiment}: {', '.join(f'{count[name]} {name}' for name in VERDICTS if count[name])}"
            for experiment, count in counts.items()
        )


def previewed(results: Path, sha256s: Collection[str]) -> Previewed:
    """Of the pictures that these files were applied to, and no others. `sha256s`: of the files of the stack."""
    comparisons: list[Comparison] = []
    problems = []
    for folder in experiment_folders(results):
        if folder.comparison.is_file():
            try:
                comparisons += _of(folder, frozenset(sha256s))
            except DarkroomError as error:
                problems.append(str(error))
    return Previewed(tuple(comparisons), tuple(problems))


def _of(folder: ExperimentFolder, sha256s: frozenset[str]) -> list[Comparison]:
    rows = read_record_table(folder.manifest).select(["request_id", "loras"]).to_pylist()
    own = {row["request_id"] for row in rows if {file["sha256"] for file in row["loras"]} == sha256s}
    return [each for each in read_comparisons(folder.comparison)[0] if each.request_id in own]
