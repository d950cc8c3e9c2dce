"""The folders of an ai-toolkit job: where its files may lie, where it trained, which links lead out. Opens no file."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from darkroom.errors import ConfigError
from darkroom.intake.aitk.section import Section
from darkroom.intake.stranger import Roots


def job_roots(home: Path, typed: Sequence[Path]) -> Roots:
    """Where files may lie. Paths of the job began where the trainer ran, maybe a folder above the job's `home`."""
    allowed = [Path.cwd(), home.absolute(), *(root.absolute() for root in typed)]
    above = [
        folder
        for folder in home.absolute().parents
        if any(folder.resolve().is_relative_to(root.resolve()) for root in allowed)
    ]
    return Roots(tuple(dict.fromkeys((*allowed, *above))))


def training_folder(process: Section, name: str, roots: Roots) -> Path | None:
    """Of a configuration alone: the folder of the job `name`, if it is here; ConfigError where that is outside."""
    written = process.text("training_folder")
    if written is None:
        return None
    folder = roots.inside(f"{written}/{name}", process.at("training_folder"))
    return folder if os.path.isdir(folder) else None  # noqa: PTH112 no error for a name that is too long


def links_out(paths: Iterable[Path], roots: Roots) -> Iterator[ConfigError]:
    """An error for each symbolic link that leads out of the roots."""
    for path in paths:
        if path.is_symlink():
            try:
                roots.inside(str(path.absolute()), f"{path}: a link")
            except ConfigError as error:
                yield error
