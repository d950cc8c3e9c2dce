"""`darkroom import request`: a request of ai-toolkit-inference → an experiment's files in conf/.

The rules are those of that service (its src/tasks/executor.py). What it has and Darkroom has not is named.
"""

import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from darkroom.display import printable
from darkroom.errors import ConfigError, ImageError, Reading, if_sound, value_of
from darkroom.files.regular_file import MEGABYTE
from darkroom.files.yaml_text import yaml_text
from darkroom.intake.control_pictures import decoded, downloaded, ending, is_url
from darkroom.intake.json_file import read_json
from darkroom.intake.numbers_as_text import with_numbers
from darkroom.intake.options import ImportOptions
from darkroom.intake.roots import Roots
from darkroom.intake.service_request import MODELS, WITHOUT_MEANING, ServiceLora, ServicePrompt, ServiceRequest
from darkroom.plan.conf.origin import Origin
from darkroom.plan.conf.other_tools import answer
from darkroom.plan.conf.owned_files import (
    CONF,
    ConfFile,
    ConfPicture,
    conf_file,
    import_name,
    write_conf_files,
)
from darkroom.plan.conf.reader import read

T = TypeVar("T")

_BYTES = 128 * MEGABYTE  # pictures as base64 included
_SEED_COMMENT = (
    "# seed -1: drawn once for this set, the same for every model and LoRA; the service draws anew for each request\n"
)
_EXPERIMENT_COMMENT = (
    "# The service rounds where the trainer does not. For its arithmetic: model: {lora_merge: merged_in_dtype}\n"
)


_SETTINGS = ("prompt", "neg", "width", "height", "seed", "sample_steps", "guidance_scale")
_NUMBERED = ("ctrl_img_1", "ctrl_img_2", "ctrl_img_3")


def import_request(path: Path, options: ImportOptions, *, download: bool = False) -> list[str]:
    """Write the files of an experiment that renders the request; lines that say what was done, and what to know of it.

    `download`: pictures that are named by URL. Raises ConfigError, or Problems with everything that is wrong with the
    request, before anything is written.
    """
    name = import_name(options.name, path.stem, str(path))
    content = read_json(path, _BYTES)
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected an object with model, loras and prompts")
    importing = _Import(path, name, options, download)
    files = value_of(importing.files(content))
    written = write_conf_files(files, options)
    return [*written, *importing.notes, f"darkroom run {name}"]


class _Import:
    """One request on its way; `notes` grow while it is read."""

    def __init__(self, path: Path, name: str, options: ImportOptions, download: bool) -> None:
        self._path, self._name, self._downloads, self._dry_run = path, name, download, options.dry_run
        self._origin, self._roots = Origin(str(path)), Roots.around(path.parent, options.roots)
        self._noted: dict[tuple[str, str], list[str]] = {}  # what is said of which last key: whole keys

    @property
    def notes(self) -> list[str]:
        """One line for all prompts of which the same is to be said."""
        return [
            printable(f"{self._origin.at(keys[0])}{f' and {len(keys) - 1} more' if keys[1:] else ''}: {said}")
            for (_, said), keys in self._noted.items()
        ]

    def files(self, content: dict[str, Any]) -> Reading[list[ConfFile | ConfPicture]]:
        """Everything to write."""
        request = yield from if_sound(self._read(content))
        if request is None:
            return []
        entries, pictures = [], []
        for number, prompt in enumerate(request.prompts):
            entry, shown = yield from self._prompt(number, prompt, request.model)
            entries.append(entry)
            pictures += shown
        common = {"trigger_word": request.trigger_word} if request.trigger_word else {}
        matrix = {"model": [request.model], "lora": [self._name if request.loras else "none"], "prompts": [self._name]}
        comment = _SEED_COMMENT if any(prompt.seed == -1 for prompt in request.prompts) else ""
        command = f"# darkroom run {self._name}\n"
        files = [
            self._file("prompts", comment + yaml_text({**({} if request.loras else common), "prompts": entries})),
            self._file("experiment", command + _EXPERIMENT_COMMENT + yaml_text({"matrix": matrix})),
        ]
        loras = []
        for number, lora in enumerate(request.loras):
            loras.append((yield from self._lora(number, lora)))
        if loras:
            files.insert(0, self._file("lora", yaml_text({**common, "loras": loras})))
        return [*files, *pictures]

    def _read(self, content: dict[str, Any]) -> Reading[ServiceRequest | None]:
        """The request as the service's schema has it. No message holds the token."""
        if content.pop("hf_token", None):
            self._note("hf_token", "not taken over, and written nowhere: set HF_TOKEN in the environment")
        cleaned = self._known(ServiceRequest, content, "")
        for key, cls in (("loras", ServiceLora), ("prompts", ServicePrompt)):
            if isinstance(cleaned.get(key), list):
                cleaned[key] = [
                    self._known(cls, item, f"{key}[{number}].") if isinstance(item, dict) else item
                    for number, item in enumerate(cleaned[key])
                ]
        request = yield from read(ServiceRequest, cleaned, self._origin)
        if request and not request.prompts:
            yield ConfigError(f"{self._origin.at('prompts')}: expected one prompt at least")
        if request and len(request.loras) != 1:
            here = "the base model is rendered" if not request.loras else f"all {len(request.loras)} are applied"
            self._note("loras", f"the service wants exactly one file; here {here}")
        return request

    def _known(self, cls: type[T], content: Mapping[str, Any], prefix: str) -> dict[str, Any]:
        """Without what the service ignores, and what has no meaning here; both are noted."""
        names = [each.name for each in fields(cls)]  # type: ignore[arg-type]
        for key, value in content.items():
            if key not in names:
                self._note(prefix + key, f"unknown to the service, and ignored; {answer(key, names)}")
            elif key in WITHOUT_MEANING and value is not None:
                self._note(prefix + key, f"not taken over: {WITHOUT_MEANING[key]}")
        return with_numbers(cls, {key: value for key, value in content.items() if key in names})

    def _lora(self, number: int, lora: ServiceLora) -> Reading[dict[str, Any]]:
        place = self._origin.at(f"loras[{number}].path")
        strength = {} if lora.network_multiplier is None else {"network_multiplier": lora.network_multiplier}
        if is_url(lora.path):
            yield ConfigError(f"{place}: {lora.path!r}: download the file, and name where it lies")
            return {}
        try:
            path = self._roots.inside(lora.path, place)
        except ConfigError as error:
            yield error
            return {}
        if not os.path.isfile(path):  # noqa: PTH113 no error for a name that is too long
            roots = ", ".join(map(str, self._roots.folders))
            said = f"there is no file {lora.path!r} in {roots}; --root names other folders"
            if self._dry_run:
                self._note(f"loras[{number}].path", said)
            else:
                yield ConfigError(f"{place}: {said}")
        return {"path": str(path), **strength}

    def _prompt(
        self, number: int, prompt: ServicePrompt, model: str
    ) -> Reading[tuple[dict[str, Any], list[ConfPicture]]]:
        """The entry of conf/prompts, and the pictures that it names."""
        entry = {key: value for key in _SETTINGS if (value := getattr(prompt, key)) is not None}
        if prompt.trigger_word:
            entry["trigger_word"] = prompt.trigger_word
        sources = self._sources(number, prompt, model)
        # As in the service, a gap between the pictures closes.
        several = [f"ctrl_img_{position}" for position in range(1, len(sources) + 1)]
        pictures = []
        for name, (key, source) in zip(several if len(sources) > 1 else ["ctrl_img"], sources.items(), strict=False):
            where = self._origin.at(f"prompts[{number}].{key}")
            try:
                picture = self._picture(f"{number}_{name}", source, where)
            except (ConfigError, ImageError) as error:
                yield ConfigError(str(error))
                continue
            pictures.append(picture)
            entry[name] = str(picture.path)
        return entry, pictures

    def _sources(self, number: int, prompt: ServicePrompt, model: str) -> dict[str, str]:
        """By key, the pictures that the service would show the model."""
        numbered = {key: source for key in _NUMBERED if (source := getattr(prompt, key))}
        if prompt.ctrl_img and numbered:
            said = f"not taken over: the service shows {next(iter(numbered))} in its place"
            self._note(f"prompts[{number}].ctrl_img", said)
        shown = numbered or ({"ctrl_img": prompt.ctrl_img} if prompt.ctrl_img else {})
        if shown and not MODELS[model].is_shown_pictures:
            self._note(
                f"prompts[{number}].{next(iter(shown))}", f"not taken over: the service shows {model} no picture"
            )
            return {}
        return shown

    def _picture(self, stem: str, source: str, where: str) -> ConfPicture:
        """ConfigError or ImageError, with `where`, for what is none."""
        if is_url(source) and not self._downloads:
            raise ConfigError(f"{where}: {source!r} is downloaded with --download only")
        content = downloaded(source, where) if is_url(source) else decoded(source, where)
        name = f"{stem}.{ending(content, where)}"
        return ConfPicture(CONF / "prompts" / f"{self._name}_files" / name, content)

    def _file(self, group: str, body: str) -> ConfFile:
        return conf_file(CONF / group / f"{self._name}.yaml", self._path.name, body)

    def _note(self, key: str, said: str) -> None:
        self._noted.setdefault((key.rpartition(".")[2], said), []).append(key)
