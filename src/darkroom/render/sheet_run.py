"""One sheet of trials on its way: where each of its pictures goes, which failed and why, and what came of all."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from darkroom.checkpoint import Checkpoint
from darkroom.errors import DarkroomError
from darkroom.files.atomic import link
from darkroom.render.attempts.ways_out import WaysOut
from darkroom.render.job import Destination
from darkroom.render.pipelines import Pipelines
from darkroom.render.progress import Progress
from darkroom.request.request import Request
from darkroom.store import ENDINGS, Store
from darkroom.trials import OUTCOMES, Outcome, Trial, TrialSheet, outcomes_of

_SHOWN = re.compile(r"\d{2,}_.*\.(png|jpg|webp)")  # names of pictures beside the outcomes

Report = Callable[[Progress], None]


@dataclass(frozen=True)
class SheetRun:
    """One sheet, with all that rendering it goes by; `failed` is filled on the way."""

    sheet: TrialSheet
    checkpoint: Checkpoint
    files: Store  # whose digests of weight files are known
    store: Store  # where embeddings and pictures go
    folder: Path  # where people look at the pictures
    offload: str
    pipelines: Pipelines
    report: Report
    ways_out: WaysOut
    failed: dict[str, str]  # by request_id

    def repeats(self, trial: Trial) -> list[Path]:
        """Files of its nudged repeats: for people and for measuring, in no store."""
        shown, numbers = self.destination(trial).shown, range(1, self.sheet.repeats + 1)
        return [self.folder / "repeats" / f"{shown.stem}_{number}{shown.suffix}" for number in numbers]

    def destination(self, trial: Trial) -> Destination:
        kind, quality = self.sheet.image_format, self.sheet.quality
        number = self.sheet.trials.index(trial)
        name = re.sub(r"[^\w.=-]+", "_", trial.factor)[:60].strip("_")
        return Destination(
            request_id=trial.request.request_id,
            stored=self.store.image(trial.request.request_id, kind, quality),
            shown=self.folder / f"{number:02d}_{name}.{ENDINGS[kind]}",
            image_format=kind,
            quality=quality,
            stored_latents=None,
            shown_latents=None,
            directory=Path.cwd(),
        )

    def note(self, requests: Iterable[Request], errors: Iterable[DarkroomError]) -> None:
        """Keep why these requests have no picture, where there is an error."""
        for error in errors:
            self.failed.update({request.request_id: str(error) for request in requests})

    def write(self) -> Path:
        """Write outcomes.json, and show the pictures beside it; those of an earlier sheet go."""
        wanted = {self.destination(trial).shown for trial in self.sheet.trials}
        for file in self.folder.iterdir():
            if _SHOWN.fullmatch(file.name) and file not in wanted:
                file.unlink()
        path = self.folder / OUTCOMES
        outcomes_of(self.sheet, (self._outcome(trial) for trial in self.sheet.trials)).write(path)
        return path

    def _outcome(self, trial: Trial) -> Outcome:
        name, to = trial.request.request_id, self.destination(trial)
        outcome = Outcome(trial.factor, trial.change, name, is_baseline=trial.is_baseline)
        if name in self.failed:
            return replace(outcome, error=self.failed[name])
        link(to.stored, to.shown)
        return replace(outcome, image=str(to.shown), repeats=tuple(map(str, self.repeats(trial))))
