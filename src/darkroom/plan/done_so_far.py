"""What results/ has of an experiment: which combinations are finished as conf/ asks now, and which lost a picture."""

from dataclasses import dataclass, replace
from pathlib import Path

from darkroom.errors import StoreError
from darkroom.files.atomic import read_json
from darkroom.files.weight_file import identity
from darkroom.names import Names
from darkroom.plan.experiment import Combination, Experiment
from darkroom.request import Request, digest_of
from darkroom.store import ENDINGS, ExperimentFolder


@dataclass(frozen=True)
class State:
    """How far one combination has come."""

    asked: str  # a digest: what conf/ asks of it, and the files that it names as they are now
    lost: str  # a token: another one when pictures of the finished combination are gone, the same until the next loss
    is_complete: bool  # the pictures in results/ are those that are asked for now
    there: int  # how many of them are


class DoneSoFar:
    """What an experiment has done so far. Looked at once for each combination, so that rules and drafts agree.

    `fresh`: nothing that was done before the run counts.
    """

    def __init__(self, experiment: Experiment, folder: ExperimentFolder, *, fresh: bool = False) -> None:
        self._experiment, self._folder, self.fresh = experiment, folder, fresh
        output = experiment.output
        self._endings = (ENDINGS[output.format], *(["safetensors"] if output.save_latents else []))
        self._known: dict[Names, State] = {}

    def of(self, combination: Combination) -> State:
        if combination.names not in self._known:
            state = self._look(combination, self._asked(combination))
            self._known[combination.names] = replace(state, is_complete=False, there=0) if self.fresh else state
        return self._known[combination.names]

    def is_complete_now(self, combination: Combination) -> bool:
        """Looked at again, for what was asked when the run began."""
        return self._look(combination, self.of(combination).asked).is_complete

    def _look(self, combination: Combination, asked: str) -> State:
        try:
            planned = read_json(self._folder.requests(combination.names))
            planned_for, lost = str(planned["asked"]), str(planned["lost"])
        except (StoreError, KeyError, TypeError):  # none yet, or of no use: it is planned anew
            return State(asked, "", is_complete=False, there=0)
        found = _names_in(self._folder.images(combination.names))
        files = [self._files_of(request) for request in combination.requests]
        there = sum(each <= found for each in files) if planned_for == asked else 0
        if not self._has_records(combination.names):
            return State(asked, lost, is_complete=False, there=there)
        gone = frozenset().union(*files) - found
        # The plan job copies the token from the draft into the requests file: one loss is planned once.
        lost = digest_of([lost, sorted(gone)])[:8] if gone else lost
        return State(asked, lost, is_complete=not gone and planned_for == asked, there=there)

    def _files_of(self, request: Request) -> frozenset[str]:
        return frozenset(f"{request.title.image_name}.{ending}" for ending in self._endings)

    def _has_records(self, names: Names) -> bool:
        """True where they are of the requests that there are, and those of the base model that there is."""
        records, requests = self._folder.records(names), self._folder.requests(names)
        is_there = records.is_file() and self._folder.checkpoint(names.model).is_file()
        return is_there and records.stat().st_mtime_ns >= requests.stat().st_mtime_ns

    def _asked(self, combination: Combination) -> str:
        names = combination.names
        files = [identity(path) for path in self._experiment.files(names)]
        return digest_of([self._experiment.digest(names), files])[:16]


def _names_in(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()} if folder.is_dir() else set()
