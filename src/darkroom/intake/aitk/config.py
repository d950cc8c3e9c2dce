"""The configuration of an ai-toolkit job, found and opened: the one process that trains.

config.yaml is what the trainer wrote at its last start, .job_config.json what its interface did. In both, `[name]` is
replaced by the job's name everywhere, as ai-toolkit's toolkit/config.py does with a file that it is given.
"""

import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from darkroom.errors import ConfigError, raise_together
from darkroom.intake.aitk.section import Section, root_faults
from darkroom.intake.json_file import read_json
from darkroom.intake.roots import Roots
from darkroom.intake.yaml_file import read_yaml

_IN_FOLDER = ("config.yaml", ".job_config.json")
_READERS = {".yaml": read_yaml, ".yml": read_yaml, ".json": read_json}
_ENVIRONMENT = re.compile(r"\$\{[^}]+\}")
_KNOWN_TYPES = ("sd_trainer", "diffusion_trainer", "ui_trainer")


@dataclass(frozen=True)
class JobConfig:
    """One job as configured. `folder` is its output folder, None for a configuration without one."""

    file: Path
    folder: Path | None
    modified: int  # of the file, ms since 1970
    name: str
    process: Section
    notes: tuple[str, ...]


def read_job(file: Path, folder: Path | None) -> JobConfig:
    """A configuration, alone or of a job folder; ConfigError, or Problems, where there is no job in it."""
    content = _READERS[file.suffix.lower()](file)
    if not isinstance(content, Mapping):
        raise ConfigError(f"{file}: expected the keys and values of an ai-toolkit job, got {type(content).__name__}")
    root = Section(content, str(file))
    raise_together(root_faults(root))
    name = root.section("config").text("name")
    if not name:
        raise ConfigError(f"{file}: config.name: expected the name of an ai-toolkit job, got {name!r}")
    process = _process(Section(_replaced(content, name), str(file)), str(file))
    notes = [f"{key}: {text} is not expanded" for key, text in _environment(process.content, "")]
    kind = process.text("type")
    if kind not in _KNOWN_TYPES:
        notes.append(f"process type {kind}: taken for {_KNOWN_TYPES[0]}, whose previews are known")
    return JobConfig(file, folder, file.stat().st_mtime_ns // 1_000_000, name, process, tuple(notes))


def config_file(path: Path) -> Path:
    """The configuration of a job folder, or `path` itself; ConfigError where it is neither."""
    if path.is_dir():
        for name in _IN_FOLDER:
            if (path / name).is_file():
                return path / name
        if jobs := _jobs_below(path):
            commands = "".join(f"\n  darkroom import aitk {shlex.quote(str(job))}" for job in jobs)
            raise ConfigError(
                f"{path}: no job folder of ai-toolkit itself; import one of those below it:{commands}", lines=True
            )
        raise ConfigError(f"{path}: no job folder of ai-toolkit: neither {' nor '.join(_IN_FOLDER)} is in it")
    if not path.exists():
        raise ConfigError(f"{path}: no such file or folder; expected an ai-toolkit job folder, or its config.yaml")
    if path.suffix.lower() not in _READERS:
        raise ConfigError(f"{path}: expected an ai-toolkit job folder, or a file that ends in {', '.join(_READERS)}")
    return path


def _jobs_below(folder: Path) -> list[Path]:
    """Job folders in a folder of jobs, or of folders of jobs."""
    found = {file.parent for below in ("*", "*/*") for name in _IN_FOLDER for file in folder.glob(f"{below}/{name}")}
    return sorted(found)


def _process(job: Section, file: str) -> Section:
    """The process that makes samples; without any, the one that trains a model."""
    processes = job.section("config").sections("process")
    for key in ("sample", "model"):
        found = [process for process in processes if key in process]
        if len(found) == 1:
            return found[0]
        if found:
            break
    listed = ", ".join(f"process[{number}] ({p.content.get('type')})" for number, p in enumerate(processes))
    said = f"one process with a section {key}, got {len(found)}; there are: {listed or 'no processes'}"
    raise ConfigError(f"{file}: config.process: expected {said}")


def _replaced(value: Any, name: str) -> Any:
    if isinstance(value, str):
        return value.replace("[name]", name)
    if isinstance(value, Mapping):
        return {_replaced(key, name): _replaced(entry, name) for key, entry in value.items()}
    return [_replaced(entry, name) for entry in value] if isinstance(value, list) else value


def _environment(value: Any, key: str) -> Iterator[tuple[str, str]]:
    """(key, ${NAME}) for each variable of the environment that the trainer would have filled in."""
    if isinstance(value, str):
        for found in _ENVIRONMENT.findall(value):
            yield key, found
    elif isinstance(value, Mapping):
        for name, entry in value.items():
            yield from _environment(entry, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list):
        for number, entry in enumerate(value):
            yield from _environment(entry, f"{key}[{number}]")


def job_roots(home: Path, typed: Sequence[Path]) -> Roots:
    """Where files may lie. Paths of the job began where the trainer ran, maybe a folder above the job's `home`."""
    allowed = [Path.cwd(), home.absolute(), *(root.absolute() for root in typed)]
    above = [
        folder
        for folder in home.absolute().parents
        if any(folder.resolve().is_relative_to(root.resolve()) for root in allowed)
    ]
    return Roots(tuple(dict.fromkeys((*allowed, *above))), tuple(root.absolute() for root in typed))


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
