"""A model of an experiment, as results/<experiment>/models/<model>.json has it: where it comes from, what it encodes.

Written when a run starts, before the model's files are looked for; read by `darkroom checkpoint` and `darkroom encode`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from darkroom.errors import StoreError
from darkroom.files.atomic import read_json, write_json
from darkroom.request import BaseModel, Encoder


@dataclass(frozen=True, kw_only=True)
class PlannedModel:
    """What conf/ says of a model, and what its pictures show in all."""

    name: str  # in conf/model/
    checkpoint: Mapping[str, Any]  # conf's section of that name
    base: BaseModel
    encoder: Encoder
    texts: tuple[str, ...]  # the distinct texts to encode, sorted
    prompt_embeds: tuple[str, ...]  # paths of what comes encoded, sorted

    def write(self, path: Path) -> None:
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> Self:
        """StoreError when it is missing, unreadable, or of another version of Darkroom."""
        values = read_json(path)
        try:
            parts = {"base": BaseModel(**values["base"]), "encoder": Encoder(**values["encoder"])}
            lists = {name: tuple(values[name]) for name in ("texts", "prompt_embeds")}
            return cls(**{**values, **parts, **lists})
        except (KeyError, TypeError) as error:
            raise StoreError(f"{path}: of another version of Darkroom ({error}); run Snakemake again") from error
