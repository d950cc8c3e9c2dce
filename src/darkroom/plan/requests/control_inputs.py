"""What conditions a picture besides its text: reference images and encoded prompts, as files.

The trainer's rules. FLUX.2 sees ctrl_img, or else ctrl_img_1; then ctrl_img_2; then ctrl_img_3 (flux2_model.py). Flex.2
sees ctrl_img alone, in the slot that ctrl_idx names (flex2.py): 0 inpaints where the image is transparent, 1 controls.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from darkroom.errors import ConfigError, ImageError, Reading, WeightFileError
from darkroom.files.images.reference import ImageHeader
from darkroom.files.weight_file import read_header
from darkroom.plan.conf.families import FAMILIES, REFERENCE_KEYS, check_image
from darkroom.request.parts import CONTROL, INPAINT

_OF_INPAINTING = ".inpaint."  # in a path, says to the trainer what the image is for


@dataclass(frozen=True)
class ControlInputs:
    """The reference images of one picture."""

    images: tuple[str, ...]  # paths, in the order in which the model sees them
    ctrl_idx: int | None  # None where the family has no slots, or there is no image
    warnings: tuple[str, ...]
    not_comparable: tuple[str, ...]  # why the trainer could not have shown them


@dataclass
class Conditions:
    """Looks at each file once, however many pictures name it, and yields each fault once."""

    family: str
    _seen: dict[tuple[str, int | None], ImageHeader | None] = field(default_factory=dict)
    _embeds_seen: set[str] = field(default_factory=set)

    def references(
        self, named: Mapping[str, str | None], ctrl_idx: int | None, where: Callable[[str], str]
    ) -> Reading[ControlInputs]:
        """What the model sees of the images named by key. `where` says which line of conf/ sets a key."""
        used, warnings = _used(self.family, {key: path for key in REFERENCE_KEYS if (path := named.get(key))})
        slot = (ctrl_idx or INPAINT) if used and FAMILIES[self.family].has_slots else None
        if ctrl_idx is not None and slot is None:
            why = "there is no ctrl_img" if FAMILIES[self.family].has_slots else f"{self.family} has no such slots"
            warnings.append(f"ctrl_idx {ctrl_idx} is not used: {why}")
        headers = []
        for key, path in used.items():
            if header := (yield from self._header(path, slot, where(key))):
                headers.append(header)
        warnings += [header.warning for header in headers if header.warning]
        if slot == CONTROL:
            warnings += [
                f"{header.path}: its transparency is dropped: with ctrl_idx 1 it is a control image"
                for header in headers
                if header.has_transparency
            ]
        reasons = tuple(reason for header in headers if (reason := _unlike_the_trainer(header, slot)))
        return ControlInputs(tuple(used.values()), slot, (*warnings, *reasons), reasons)

    def embeds(self, path: str, where: str) -> Iterator[ConfigError]:
        """Is it a .safetensors file of what the family's text encoders make of one prompt?"""
        if path not in self._embeds_seen:
            self._embeds_seen.add(path)
            yield from (ConfigError(f"{where}: {fault}") for fault in _embeds_faults(path, self.family))

    def _header(self, path: str, slot: int | None, where: str) -> Reading[ImageHeader | None]:
        if (path, slot) not in self._seen:
            try:
                self._seen[path, slot] = check_image(path, self.family, slot)
            except ImageError as error:
                self._seen[path, slot] = None
                yield ConfigError(f"{where}: {error}")
        return self._seen[path, slot]


def _used(family: str, given: dict[str, str]) -> tuple[dict[str, str], list[str]]:
    """Of the images given by key those that the model sees, in order; and warnings about the others."""
    keys = FAMILIES[family].reference_keys
    used = {key: path for key, path in given.items() if key in keys}
    why = f"{family} sees {', '.join(keys)} only, as in the trainer" if keys else f"{family} sees no reference image"
    if "ctrl_img" in used and "ctrl_img_1" in used:
        del used["ctrl_img_1"]
        why = "ctrl_img goes before it, as in the trainer"
    # The trainer gives ctrl_img_1 the value of ctrl_img where a job sets none.
    default = used.get("ctrl_img")
    left = {key: path for key, path in given.items() if key not in used and (key, path) != ("ctrl_img_1", default)}
    return used, [f"{key} {path} is not used: {why}" for key, path in left.items()]


def _unlike_the_trainer(header: ImageHeader, slot: int | None) -> str | None:
    """Why the trainer would have failed on this image in this slot."""
    is_named = _OF_INPAINTING in header.path
    if slot == INPAINT and not (is_named and header.mode == "RGBA"):
        got = header.mode if is_named else "another name"
        wanted = "inpaints only with RGBA files that have .inpaint. in their name"
        return f"{header.path}: the trainer {wanted}, and would have failed on {got}"
    if slot == CONTROL and is_named:
        return f"{header.path}: the trainer would have failed: .inpaint. in a name goes with ctrl_idx 0"
    return None


def _embeds_faults(path: str, family: str) -> Iterator[str]:
    try:
        header = read_header(Path(path))
    except WeightFileError as error:
        yield str(error)
        return
    wanted = FAMILIES[family].embeds
    if header.shapes.keys() != wanted.keys():
        tensors = f"the tensors {' and '.join(wanted)}" if len(wanted) > 1 else f"one tensor {next(iter(wanted))}"
        yield f"{path}: expected {tensors}, got {', '.join(sorted(header.shapes)) or 'none'}"
        return
    for name, dimensions in wanted.items():
        shape, dtype = header.shapes[name], header.dtypes[name]
        if len(shape) != len(dimensions) or shape[0] != 1 or 0 in shape:
            yield f"{path}: {name}: expected shape [{', '.join(dimensions)}], got {list(shape)}"
        if dtype not in ("F32", "F16", "BF16"):
            yield f"{path}: {name}: expected float32, float16 or bfloat16, got {dtype}"
