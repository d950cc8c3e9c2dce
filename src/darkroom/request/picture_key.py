"""Which picture of an experiment: what its renders and its stored previews have in common."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

from darkroom.request.request import Request


@dataclass(frozen=True, order=True)
class PictureKey:
    """By names, the prompt's number in its set, and the values on further axes."""

    model: str
    lora: str
    prompts: str
    index: int
    axes: str  # `axes_text`

    @classmethod
    def of(cls, request: Request) -> Self:
        title = request.title
        return cls(*title.names, title.index, axes_text(title.axes))

    def __str__(self) -> str:
        axes = "" if self.axes == "{}" else f" {self.axes}"
        return f"{self.model} / {self.lora} / {self.prompts}, picture {self.index}{axes}"


def axes_text(axes: Iterable[tuple[str, Any]]) -> str:
    """Further axes of the matrix, as canonical JSON: {"seed":1}."""
    return json.dumps(dict(axes), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
