"""What gives pictures a score, as conf/score/ has it and as it goes from room to room.

results/<experiment>/scorers.json     by name: plan writes what conf/ says, the rule score does it
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from darkroom.errors import StoreError
from darkroom.files.atomic import read_json, write_json

CHANGE, DIVERSITY, TEXT, REFERENCES, COMMAND = "change", "diversity", "text", "references", "command"
OF_MODELS = (TEXT, REFERENCES)
HIGHER, LOWER = "higher", "lower"


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """conf/score/*.yaml. Each kind takes the keys that KEYS names for it, and needs all of them."""

    kind: str = field(metadata={"one_of": (CHANGE, DIVERSITY, TEXT, REFERENCES, COMMAND)})
    better: str | None = field(default=None, metadata={"one_of": (HIGHER, LOWER)})  # None: neither, so nothing is best
    checkpoint: str | None = None  # a model of the hub, or a folder in its layout: CLIP, SigLIP, DINOv2
    references: str | None = None  # a folder of pictures
    command: str | None = None  # reads {manifest}, writes {table}


KEYS: Mapping[str, tuple[str, ...]] = {
    CHANGE: (),
    DIVERSITY: (),
    TEXT: ("checkpoint",),
    REFERENCES: ("checkpoint", "references"),
    COMMAND: ("command",),
}


def write_scorers(path: Path, scorers: Mapping[str, Scorer]) -> None:
    """Write those that an experiment asks for, by name."""
    write_json(path, {name: asdict(scorer) for name, scorer in scorers.items()})


def read_scorers(path: Path) -> dict[str, Scorer]:
    """What `write_scorers` was given; StoreError when the file is missing, unreadable or of another version."""
    try:
        return {name: Scorer(**each) for name, each in read_json(path).items()}
    except (TypeError, AttributeError) as error:
        raise StoreError(f"{path}: of another version of Darkroom ({error}); run Snakemake again") from error
