"""The files of conf/ that an ai-toolkit job becomes, as text for people to read and change. Writes nothing."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from darkroom.display import printable
from darkroom.files.yaml_text import yaml_text
from darkroom.intake.aitk.previews import BASE, PromptOption
from darkroom.intake.aitk.prompts import SamplePrompt
from darkroom.plan.conf.owned_files import CONF, ConfFile, conf_file

_COMMON = ("width", "height", "sample_steps", "guidance_scale", "neg", "network_multiplier")
_NO_STRENGTH = {"network_multiplier": 1.0}  # what a prompt has that names none


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

    def prompts(self, option: PromptOption, trigger_word: str | None) -> ConfFile:
        """Settings that most prompts share stand above them, what differs beside each."""
        comments = [f"Left out: prompt {index} of the job: {why}" for index, why in option.sheet.left_out.items()]
        common = _common(option.sheet.prompts)
        content = {
            **({"trigger_word": trigger_word} if trigger_word else {}),
            "defaults": {key: value for key, value in common.items() if (key, value) not in _NO_STRENGTH.items()},
            "prompts": [_entry(prompt, common) for prompt in option.sheet.prompts],
        }
        return self._file("prompts", option.name, comments, content)

    def experiment(self, combinations: Sequence[tuple[str, str]], comments: Sequence[str], command: str) -> ConfFile:
        """`combinations`: LoRA and prompt set of each render job."""
        loras, prompts = (list(dict.fromkeys(names)) for names in zip(*combinations, strict=True))
        absent = [
            {"lora": lora, "prompts": name} for lora in loras for name in prompts if (lora, name) not in combinations
        ]
        content = {
            "matrix": {"model": [self.name], "lora": loras, "prompts": prompts},
            **({"exclude": absent} if absent else {}),
            "output": {"format": "png"},
        }
        return self._file("experiment", self.name, [command, *comments], content)

    def lora_name(self, step: int) -> str:
        return f"{self.name}_{step:09d}" if step else BASE

    def _file(self, group: str, name: str, comments: Sequence[str], content: Mapping[str, Any]) -> ConfFile:
        body = "".join(f"# {printable(line)}\n" for line in comments) + yaml_text(content)
        return conf_file(CONF / group / f"{name}.yaml", self.source, body)


def _common(prompts: Sequence[SamplePrompt]) -> dict[str, Any]:
    """The most frequent value of each setting; of several the first."""
    return {key: Counter(prompt.settings[key] for prompt in prompts).most_common(1)[0][0] for key in _COMMON}


def _entry(prompt: SamplePrompt, common: Mapping[str, Any]) -> dict[str, Any]:
    return {"prompt": prompt.template, **dict(_own(prompt, common))}


def _own(prompt: SamplePrompt, common: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in prompt.settings.items():
        if key not in common or common[key] != value:
            yield key, value
