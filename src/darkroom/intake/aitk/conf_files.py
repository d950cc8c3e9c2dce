"""The files of conf/ that an ai-toolkit job becomes, as text for people to read and change. Writes nothing."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from darkroom.display import printable
from darkroom.errors import ConfigError
from darkroom.files.yaml_text import yaml_text
from darkroom.intake.aitk.matrix import LoraValues
from darkroom.intake.aitk.previews import BASE, PromptOption
from darkroom.intake.aitk.prompts import DRAWN, SamplePrompt
from darkroom.plan.conf.folders import BUILT_IN
from darkroom.plan.conf.owned_files import CONF, ConfFile, conf_file

_COMMON = ("width", "height", "sample_steps", "guidance_scale", "neg", "network_multiplier")
_NO_STRENGTH = {"network_multiplier": 1.0}  # what a prompt has that names none
# Of <job>_pick:
_STRENGTHS = (0.6, 0.8, 1.0)
_SEEDS = 2  # the job's first, and the next
_FIRST_SEED = 42
_AXES = ("seed", "network_multiplier")  # which the prompts leave to the matrix


@dataclass(frozen=True)
class ConfWriter:
    """Makes the files of one import. `source`: what it was imported from, as the first line of each says.

    `copies`: the options that name copies of its weights, which the model's first line says too, so that an import
    without them does not send the model elsewhere unnoticed.
    """

    name: str
    source: str
    copies: str = ""

    def model(self, content: Mapping[str, Any], comments: Sequence[str]) -> ConfFile:
        return replace(self, source=f"{self.source} {self.copies}".rstrip())._file(
            "model", self.name, comments, content
        )

    def lora(self, name: str, path: str, trigger_word: str | None) -> ConfFile:
        trigger = {"trigger_word": trigger_word} if trigger_word else {}
        return self._file("lora", name, (), {**trigger, "loras": [{"path": path, "network_multiplier": 1.0}]})

    def folder(self, path: str, pattern: str, trigger_word: str | None) -> ConfFile:
        """All checkpoints of a folder, those to come too."""
        trigger = {"trigger_word": trigger_word} if trigger_word else {}
        return self._file("lora", self.name, (), {**trigger, "folder": path, "pattern": pattern})

    def prompts(self, option: PromptOption, trigger_word: str | None, without: Collection[str] = ()) -> ConfFile:
        """Settings that most prompts share stand above them, what differs beside each; none of those in `without`."""
        comments = [f"Left out: prompt {index} of the job: {why}" for index, why in option.sheet.left_out.items()]
        prompts = [replace(each, settings=_less(each.settings, without)) for each in option.sheet.prompts]
        common = _common(prompts)
        content = {
            **({"trigger_word": trigger_word} if trigger_word else {}),
            "defaults": {key: value for key, value in common.items() if (key, value) not in _NO_STRENGTH.items()},
            "prompts": [_entry(prompt, common) for prompt in prompts],
        }
        return self._file("prompts", option.name, comments, content)

    def experiment(
        self, matrix: Mapping[str, Any], exclude: Sequence[Mapping[str, Any]], comments: Sequence[str]
    ) -> ConfFile:
        rules = {"exclude": list(exclude)} if exclude else {}
        return self._file("experiment", self.name, comments, {"matrix": matrix, **rules, "output": {"format": "png"}})

    def _file(self, group: str, name: str, comments: Sequence[str], content: Mapping[str, Any]) -> ConfFile:
        body = "".join(f"# {printable(line)}\n" for line in comments) + yaml_text(content)
        return conf_file(CONF / group / f"{name}.yaml", self.source, body)


def pick_files(writer: ConfWriter, main: PromptOption, trigger_word: str | None, values: LoraValues) -> list[ConfFile]:
    """<job>_pick, in which a checkpoint and a strength are chosen, and its prompts: written once, and then people's.

    All checkpoints, those to come too, at some strengths, with the prompts of the job's samples and some seeds; without
    such prompts, those that people write. None where there is no checkpoint yet.
    """
    if values.folder is None:
        return []
    pick = replace(writer, name=f"{writer.name}_pick")
    prompts = pick.name if main.sheet.prompts else writer.name
    matrix = {
        "model": writer.name,
        "lora": [BASE, writer.name],
        "prompts": prompts,
        "network_multiplier": list(_STRENGTHS),
        **({"seed": _seeds(main)} if main.sheet.prompts else {}),
    }
    exclude = [*_once(), *map(_without, values.others)]
    command = f"darkroom run {pick.name}"
    files = [pick.experiment(matrix, exclude, [command, "Written once: no import changes it, or its prompts"])]
    if main.sheet.prompts:
        files.append(pick.prompts(replace(main, name=pick.name), trigger_word, without=_AXES))
    return files


def refuse_built_in_names(files: Sequence[ConfFile]) -> None:
    """ConfigError where a file would go ahead of one of Darkroom's own of the same name."""
    taken = [file.path for file in files if (BUILT_IN / Path(*file.path.parts[1:])).is_file()]
    if taken and BUILT_IN.resolve() != Path("conf").resolve():
        raise ConfigError(
            f"{', '.join(map(str, taken))}: Darkroom has files of that name itself; choose another with --name"
        )


def _without(value: str) -> dict[str, object]:
    return {"lora": value}


def _once() -> Iterator[dict[str, object]]:
    """The base model has no strengths."""
    yield from ({"lora": BASE, "network_multiplier": strength} for strength in _STRENGTHS[:-1])


def _seeds(main: PromptOption) -> Sequence[int]:
    first = main.sheet.prompts[0].settings["seed"]
    start = _FIRST_SEED if first == DRAWN else first
    return [start + number for number in range(_SEEDS)]


def _common(prompts: Sequence[SamplePrompt]) -> dict[str, Any]:
    """The most frequent value of each setting; of several the first."""
    shared = [key for key in _COMMON if key in prompts[0].settings]
    return {key: Counter(prompt.settings[key] for prompt in prompts).most_common(1)[0][0] for key in shared}


def _less(settings: Mapping[str, Any], without: Collection[str]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key not in without}


def _entry(prompt: SamplePrompt, common: Mapping[str, Any]) -> dict[str, Any]:
    return {"prompt": prompt.template, **dict(_own(prompt, common))}


def _own(prompt: SamplePrompt, common: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in prompt.settings.items():
        if key not in common or common[key] != value:
            yield key, value
