"""The pictures of an ai-toolkit job as previews of an experiment, each with why it cannot be reproduced, if so.

Opens pictures for their size and digest, and nothing else.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from darkroom.display import from_here
from darkroom.errors import ImageError
from darkroom.files.images.opened import COMMON, opened
from darkroom.files.weight_file import sha256_of
from darkroom.intake.aitk.checkpoints import TrainedLora
from darkroom.intake.aitk.model import TrainedModel
from darkroom.intake.aitk.prompts import DRAWN, SamplePrompt, SampleSheet
from darkroom.intake.aitk.samples import SampleFile
from darkroom.intake.versions import JobVersions
from darkroom.plan.conf.families import REFERENCE_KEYS
from darkroom.previews import TRAINER, Preview

BASE = "none"  # the option without a LoRA


@dataclass(frozen=True)
class PromptOption:
    """A prompt set of conf/, made of what one section of the job asks for."""

    name: str
    sheet: SampleSheet
    reasons: tuple[str, ...]  # why nothing of it can be reproduced

    def position(self, index: int) -> int:
        """The index in the set for the trainer's; negative for a prompt that was left out of it."""
        return self._held.get(index, index if index >= self.sheet.count else -1 - index)

    @cached_property
    def _held(self) -> Mapping[int, int]:
        return {prompt.index: position for position, prompt in enumerate(self.sheet.prompts)}


@dataclass(frozen=True)
class Previewer:
    """Makes rows of one job's previews. `versions`: who made them."""

    name: str
    model: TrainedModel
    versions: JobVersions
    _digests: dict[Path, str] = field(default_factory=dict)

    def rows(
        self,
        option: PromptOption,
        lora_name: str,
        lora: TrainedLora | None,
        files: Sequence[SampleFile],
        reasons: Sequence[str],
    ) -> Iterator[Preview]:
        """One for each picture of a set; `reasons`: why none of them can be reproduced."""
        prompts = {prompt.index: prompt for prompt in option.sheet.prompts}
        for file in files:
            prompt, picture = prompts.get(file.index), _read(file.path)
            own = [*self.versions.reasons(file.step), *_reasons(file.index, prompt, option.sheet, picture)]
            trainer = self.versions.at(file.step)
            yield Preview(
                model=self.name,
                lora=lora_name,
                prompts=option.name,
                index=option.position(file.index),
                path=str(from_here(file.path)),
                sha256=picture.sha256,
                width=picture.size[0] if picture.size else None,
                height=picture.size[1] if picture.size else None,
                origin=TRAINER,
                step=file.step,
                made_at=file.made_at,
                then=self._then(prompt, option, lora_name, lora),
                reason="; ".join(dict.fromkeys([*reasons, *own])) or None,
                note="; ".join(self.versions.notes(file.step)) or None,
                trainer=str(trainer) if trainer else None,
            )

    def lacking(
        self,
        options: Sequence[PromptOption],
        usable: Mapping[str, TrainedLora],
        combinations: Sequence[tuple[str, str]],
        rows: Sequence[Preview],
    ) -> Iterator[Preview]:
        """Rows for what is rendered and has none among `rows`. `combinations`: names of LoRA and prompt set."""
        by_name = {option.name: option for option in options}
        for lora_name, prompts in combinations:
            there = {row.index for row in rows if (row.lora, row.prompts) == (lora_name, prompts)}
            yield from self._lacking_of(by_name[prompts], lora_name, usable.get(lora_name), there)

    def _lacking_of(
        self, option: PromptOption, lora_name: str, lora: TrainedLora | None, there: Container[int]
    ) -> Iterator[Preview]:
        """A row for each request of a combination that no picture was left of; `there`: the indices with one."""
        step = lora.step if lora else 0
        for position, prompt in enumerate(option.sheet.prompts):
            if position not in there:
                yield Preview(
                    model=self.name,
                    lora=lora_name,
                    prompts=option.name,
                    index=position,
                    path=None,
                    origin=TRAINER,
                    step=step,
                    then=self._then(prompt, option, lora_name, lora),
                    reason=f"the trainer left no picture of it at step {step}",
                )

    def _then(
        self, prompt: SamplePrompt | None, option: PromptOption, lora_name: str, lora: TrainedLora | None
    ) -> dict[str, Any]:
        """What is known of how a picture was made, by columns of the manifest; not its LoRA if that is gone."""
        if prompt is None:
            return dict(self.model.facts)
        settings = prompt.settings
        strength = settings["network_multiplier"]
        images = [path for key in REFERENCE_KEYS if (path := settings.get(key))]
        known = {key: value for key, value in settings.items() if key not in REFERENCE_KEYS}
        if settings["seed"] == DRAWN:
            del known["seed"]
        known |= {"prompt": prompt.text, "ctrl_images": [self._file(Path(path)) for path in images]}
        if lora:
            known["loras"] = [{**self._file(lora.path), "network_multiplier": strength}]
            known["lora_merge"] = self.model.regime(option.sheet.strengths) if strength else None
        elif lora_name == BASE:
            known |= {"loras": [], "lora_merge": None}
        return {**self.model.facts, **known}

    def _file(self, path: Path) -> dict[str, str]:
        return {"path": str(from_here(path)), "sha256": self._sha256(path)}

    def _sha256(self, path: Path) -> str:
        if path not in self._digests:
            self._digests[path] = sha256_of(path)
        return self._digests[path]


@dataclass(frozen=True)
class _Picture:
    sha256: str | None
    size: tuple[int, int] | None


def _reasons(index: int, prompt: SamplePrompt | None, sheet: SampleSheet, picture: _Picture) -> Iterator[str]:
    if prompt is None and index in sheet.left_out:
        yield f"prompt {index} is left out of the prompt set: {sheet.left_out[index]}"
    elif prompt is None:
        yield f"the job has {sheet.count} prompts now, and this is of prompt {index}"
    else:
        if prompt.settings["seed"] == DRAWN:
            yield "seed -1: it was drawn at random, and nobody wrote it down"
        expected = (prompt.settings["width"], prompt.settings["height"])
        if picture.size not in (None, expected):
            (width, height), wanted = picture.size or (0, 0), "x".join(map(str, expected))
            yield f"size {width}x{height}, where the job asks for {wanted}"


def _read(path: Path) -> _Picture:
    """Digest and size of a picture; None for what cannot be said. Whether it is whole, comparing finds out."""
    try:
        digest = sha256_of(path)
    except OSError:
        return _Picture(None, None)
    try:
        with opened(path, COMMON) as image:
            return _Picture(digest, image.size)
    except ImageError:
        return _Picture(digest, None)
