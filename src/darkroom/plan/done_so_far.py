"""Which combinations are finished, and which of those lost a picture, by results/. Knows nothing of Snakemake."""

from dataclasses import dataclass
from pathlib import Path

from darkroom.errors import StoreError
from darkroom.files.atomic import read_json
from darkroom.names import Names
from darkroom.plan.conf.schema import Output
from darkroom.plan.experiment import Combination
from darkroom.request import digest_of
from darkroom.store import ENDINGS, ExperimentFolder


@dataclass(frozen=True)
class _State:
    asked: str  # what the combination was planned for; "" if it was not
    lost: str
    is_complete: bool


class Finished:
    """What an experiment has done so far. Looked at once for each combination, so that rules and drafts agree."""

    def __init__(self, folder: ExperimentFolder, output: Output) -> None:
        self._folder = folder
        endings = [ENDINGS[output.format], *(["safetensors"] if output.save_latents else [])]
        self._endings = tuple(endings)
        self._states: dict[Names, _State] = {}

    def lost(self, combination: Combination) -> str:
        """A token that changes once when pictures of a finished combination are gone, and is kept until the next loss.

        It travels through the draft into the requests file, so that a repaired combination is at rest.
        """
        return self._state(combination).lost

    def is_complete(self, combination: Combination, asked: str) -> bool:
        """True when the pictures in place are those that are asked for now."""
        state = self._state(combination)
        return state.is_complete and state.asked == asked

    def _state(self, combination: Combination) -> _State:
        if combination.names not in self._states:
            self._states[combination.names] = self._look(combination)
        return self._states[combination.names]

    def _look(self, combination: Combination) -> _State:
        try:
            planned = read_json(self._folder.requests(combination.names))
            asked, lost = str(planned["asked"]), str(planned["lost"])
        except (StoreError, KeyError, TypeError):  # none yet, or of no use: it is planned anew
            return _State("", "", False)
        if not self._folder.records(combination.names).is_file():
            return _State(asked, lost, False)
        expected = {f"{r.title.image_name}.{ending}" for r in combination.requests for ending in self._endings}
        gone = expected - _names_in(self._folder.images(combination.names))
        return _State(asked, digest_of([lost, sorted(gone)])[:8] if gone else lost, not gone)


def _names_in(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()} if folder.is_dir() else set()
