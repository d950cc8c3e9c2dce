"""What a picture shows the model besides its text: reference images and encoded prompts, as files. Knows no model.

The trainer's rule for the order: ctrl_img, or else ctrl_img_1; then ctrl_img_2; then ctrl_img_3.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from darkroom.errors import CheckpointError, ConfigError, ImageError
from darkroom.reference_image import check_reference
from darkroom.request import PROMPT_EMBEDS
from darkroom.weight_file import read_header

REFERENCE_KEYS = ("ctrl_img", "ctrl_img_1", "ctrl_img_2", "ctrl_img_3")


def references(named: Mapping[str, str | None]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Of the images named by key those that the model sees, in order; and warnings about those it does not."""
    given = {key: path for key in REFERENCE_KEYS if (path := named.get(key))}
    if "ctrl_img" in given and "ctrl_img_1" in given:
        other = given.pop("ctrl_img_1")
        if other != given["ctrl_img"]:
            return given, (f"ctrl_img_1 {other} is not used: ctrl_img goes before it, as in the trainer",)
    return given, ()


@dataclass
class Conditions:
    """Looks at each file once, however many pictures name it. `problems` gets each fault once."""

    problems: list[ConfigError]
    _seen: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def image(self, path: str, place: str) -> tuple[str, ...]:
        """Warnings for the record of a picture with this reference image."""
        if path not in self._seen:
            self._seen[path] = tuple(self._image(path, place))
        return self._seen[path]

    def embeds(self, path: str, place: str) -> None:
        """Is it a .safetensors file of one tensor `prompt_embeds`, (1, tokens, features)?"""
        if path not in self._seen:
            self._seen[path] = ()
            self.problems += [ConfigError(f"{place}: {fault}") for fault in _embeds_faults(path)]

    def _image(self, path: str, place: str) -> Iterator[str]:
        try:
            warning = check_reference(path)
        except ImageError as error:
            self.problems.append(ConfigError(f"{place}: {error}"))
            return
        if warning:
            yield warning


def _embeds_faults(path: str) -> Iterator[str]:
    try:
        header = read_header(Path(path))
    except CheckpointError as error:
        yield str(error)
        return
    if list(header.shapes) != [PROMPT_EMBEDS]:
        yield f"{path}: expected one tensor {PROMPT_EMBEDS}, got {', '.join(header.shapes) or 'none'}"
        return
    shape, dtype = header.shapes[PROMPT_EMBEDS], header.dtypes[PROMPT_EMBEDS]
    if len(shape) != 3 or shape[0] != 1 or 0 in shape:
        yield f"{path}: {PROMPT_EMBEDS}: expected shape [1, tokens, features], got {list(shape)}"
    if dtype not in ("F32", "F16", "BF16"):
        yield f"{path}: {PROMPT_EMBEDS}: expected float32, float16 or bfloat16, got {dtype}"
