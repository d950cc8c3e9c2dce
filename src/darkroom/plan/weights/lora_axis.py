"""The axis lora: options, folders whose every LoRA file is a value, and paths and globs of such files.

    lora: [none, style]                                  # conf/lora/style.yaml: one stack, or a folder of checkpoints
    lora: {folder: output/star_v1, pattern: "*_v1_*"}    # a folder, with the keys that it has in conf/lora/
    lora: output/star_v1/*.safetensors                   # a glob, a folder that has no option's name, a file

Each value becomes an option of its own, as if it stood in conf/lora/. Where conf/lora/ has a file of a value's name,
the value is what that says.
"""

import glob
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from darkroom.display import named
from darkroom.errors import ConfigError, Reading
from darkroom.files.regular_file import from_home
from darkroom.lora_files.file import ENDINGS
from darkroom.lora_files.series import Series, files_of, is_weights, read_series
from darkroom.plan.conf.compose import Conf, Option
from darkroom.plan.conf.origin import Origin
from darkroom.plan.conf.reader import entries_of, read
from darkroom.plan.conf.schema import LoraFolder, StackedLora

_LISTED = 8  # files that a message names
_WILD = re.compile(r"[*?\[]")
_KEYS = {each.name for each in fields(LoraFolder)}
_STEPPED = re.compile(r".+_\d{9,12}")


@dataclass(frozen=True)
class LoraSeries:
    """What one entry of the axis stands for. `written`: by what `exclude` names all of it."""

    written: str
    option: str | None  # that the values are of
    values: tuple[str, ...] = ()

    def may_have(self, name: object) -> bool:
        """True for what could be a value's name, if its file were there."""
        if not isinstance(name, str):
            return False
        return name.startswith(f"{self.option}_") if self.option else bool(_STEPPED.fullmatch(name))


@dataclass
class LoraAxis:
    """The entries that are series, by their keys; options that were found on the way, by name; what is to be said."""

    series: dict[str, LoraSeries] = field(default_factory=dict)
    options: dict[str, Option] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Source:
    """A folder as it is written somewhere. `where`: file and key of its place; `origin`: of the options it becomes."""

    folder: LoraFolder
    option: str | None  # whose it is
    where: str
    origin: Origin


def read_lora_axis(raw: Any, conf: Conf) -> Reading[LoraAxis]:
    """What matrix.lora says. A series that cannot be read has no values, and its errors are yielded."""
    axis = LoraAxis()
    for key, entry in entries_of(raw, "matrix.lora"):
        if isinstance(entry, Mapping) and entry.keys() & _KEYS:
            source = yield from _in_matrix(dict(entry), key, f"{key}.folder", conf)
            axis.series[key] = yield from _spread(source, str(entry.get("folder")), conf, axis)
        elif isinstance(entry, str) and not _is_path(entry) and (option := _option_of(entry, conf)):
            if "folder" in option.content:
                source = yield from _in_option(option, conf)
                axis.series[key] = yield from _spread(source, entry, conf, axis)
            else:
                axis.options[entry] = option
        elif isinstance(entry, str) and (_is_path(entry) or _is_folder_alone(entry, conf)):
            source = yield from _in_matrix({"folder": entry}, key, key, conf)
            axis.series[key] = yield from _spread(source, entry, conf, axis)
    return axis


def _is_path(entry: str) -> bool:
    return "/" in entry or bool(_WILD.search(entry)) or entry.lower().endswith(ENDINGS)


def _is_folder_alone(entry: str, conf: Conf) -> bool:
    """True for a folder whose name no option has, not even one that cannot be read."""
    return os.path.isdir(entry) and not conf.has_option("lora", entry)  # noqa: PTH112  a name too long is none


def _option_of(name: str, conf: Conf) -> Option | None:
    """The option of a name, or the one with a folder that it may name one value of; None if conf/lora/ has neither."""
    ends = [match.start() for match in re.finditer("_", name)]
    for end in (len(name), *reversed(ends)):
        try:
            if conf.has_option("lora", name[:end]):
                option = conf.option("lora", name[:end])
                return option if end == len(name) or "folder" in option.content else None
        except ConfigError:  # said where the options of the axis are opened
            return None
    return None


def _in_matrix(content: dict[str, Any], key: str, folder_key: str, conf: Conf) -> Reading[_Source | None]:
    origin = conf.origin("")
    folder = yield from read(LoraFolder, conf.changed("lora", content, origin), origin, key)
    if folder is None:
        return None
    where = origin.at(folder_key)
    return _Source(folder, None, where, _origin_of_values(folder, origin, where, f"{key}."))


def _in_option(option: Option, conf: Conf) -> Reading[_Source | None]:
    try:
        content = option.resolved(conf.visible)
    except ConfigError as error:
        yield error
        return None
    folder = yield from read(LoraFolder, content, option.origin)
    if folder is None:
        return None
    where = option.origin.at("folder")
    return _Source(folder, option.name, where, _origin_of_values(folder, option.origin, where, ""))


def _origin_of_values(folder: LoraFolder, origin: Origin, where: str, prefix: str) -> Origin:
    """The folder's file is the first of a value's stack, and the folder's `loras` follow."""
    own = [("loras[0].path", where), ("loras[0]", origin.at(prefix.rstrip(".")))]
    moved = [(f"loras[{n + 1}]", origin.at(f"{prefix}loras[{n}]")) for n in range(len(folder.loras))]
    return Origin(origin.file, (*own, *moved, *origin.elsewhere))


def _spread(source: _Source | None, written: str, conf: Conf, axis: LoraAxis) -> Reading[LoraSeries]:
    """The values of a folder, each an option of the axis; of one that `written` names a value of, that one."""
    if source is None:
        return LoraSeries(written, None)
    # 1. The files
    place = f"{source.where}: {source.folder.folder}"
    files = _files(source.folder)
    if files is None:
        yield ConfigError(f"{place}: no such file or folder")
        return LoraSeries(written, source.option)
    series = read_series(files, source.option)
    # 2. What is to be said of them
    yield from _faults(series, place, source.folder.pattern)
    if series.passed_over:
        axis.notes.append(f"{place}: passed over: {named(series.passed_over, _LISTED)}")
    # 3. The values
    values = [checkpoint.name for checkpoint in series.checkpoints]
    if source.option not in (None, written) and values:
        if written not in values:
            yield ConfigError(f"{place}: no file in it makes {written}, only {named(values, _LISTED)}")
        values = [value for value in values if value == written]
    for checkpoint in series.checkpoints:
        if checkpoint.name in values and not conf.has_option("lora", checkpoint.name):
            content = _content(source.folder, str(checkpoint.path))
            axis.options[checkpoint.name] = Option("lora", checkpoint.name, content, source.origin)
    return LoraSeries(written, source.option, tuple(values))


def _files(folder: LoraFolder) -> list[Path] | None:
    """Those of the folder, or of a path or a glob in its place; None where there is nothing."""
    place = from_home(folder.folder)
    found = [place] if place.exists() else [Path(each) for each in sorted(glob.glob(str(place), recursive=True))]  # noqa: PTH207 Path.glob takes no absolute one
    if not found:
        return None
    in_folders = [path for each in found if each.is_dir() for path in files_of(each, folder.pattern)]
    return [*in_folders, *(path for path in found if is_weights(path) and fnmatchcase(path.name, folder.pattern))]


def _faults(series: Series, place: str, pattern: str) -> Iterator[ConfigError]:
    if not series.checkpoints:
        found = named(series.passed_over, _LISTED) or "nothing"
        fitting = "" if pattern == "*" else f" that fit {pattern}"
        yield ConfigError(f"{place}: expected LoRA files{fitting}, got {found}")
    for paths in series.alike:
        names = " and ".join(path.name for path in paths)
        yield ConfigError(f"{place}: {names} are of one step, and would have one name; a `pattern` takes one of them")


def _content(folder: LoraFolder, path: str) -> dict[str, Any]:
    """A value as conf/lora/ would have it."""
    first = StackedLora(path=path, network_multiplier=folder.network_multiplier)
    return {
        "trigger_word": folder.trigger_word,
        "loras": [asdict(each) for each in (first, *folder.loras)],
        "allow_foreign_lora": folder.allow_foreign_lora,
    }
