"""Completes the requests of a draft (conf/ resolved, files unread) with the digests of their files."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from darkroom.checkpoint import Checkpoint, Component, weight_files
from darkroom.errors import ImageError, raise_together
from darkroom.files.images.reference import read_reference
from darkroom.plan.conf.families import check_image
from darkroom.plan.requests.resolve import AUTO, regime_of
from darkroom.plan.weights.loras import check_loras
from darkroom.planned import PlannedCombination
from darkroom.request.parts import Lora, ReferenceImage
from darkroom.request.request import Request
from darkroom.store import Store

_File = TypeVar("_File", Lora, ReferenceImage)


def complete(request: Request, lora_merge: str, checkpoint: Checkpoint, sha256: Callable[[Path], str]) -> Request:
    """The request with the digests of every file that its pixels depend on. `lora_merge`: conf's key of the model."""
    embeds = request.text.prompt_embeds
    return _on_quantized_files(request, lora_merge, checkpoint).changed(
        checkpoint_revision=checkpoint.revision,
        checkpoint_digest=checkpoint.digest,
        text_encoder_digest=checkpoint.text_encoder_digest,
        transformer_sha256=_sha256_of_one(checkpoint["transformer"], sha256),
        prompt_embeds_sha256=sha256(Path(embeds)) if embeds else None,
        ctrl_images=_with_digests(request.sampling.ctrl_images, sha256),
        loras=_with_digests(request.adapters.loras, sha256),
    )


def _sha256_of_one(component: Component, sha256: Callable[[Path], str]) -> str | None:
    """Of the component's one file of weights; None where it has several."""
    path = Path(component.path)
    if not path.is_dir():
        return component.digest
    files = weight_files(path)
    return sha256(files[0]) if len(files) == 1 else None


def _with_digests(files: Iterable[_File], sha256: Callable[[Path], str]) -> tuple[_File, ...]:
    return tuple(replace(file, sha256=sha256(Path(file.path))) for file in files)


def _on_quantized_files(request: Request, lora_merge: str, checkpoint: Checkpoint) -> Request:
    """As the trainer does on a checkpoint that comes quantised: adapters live; but no trainer previewed this file."""
    reasons = {
        part: f"the file of the {part} is quantised ({component.quantized})"
        for part, component in sorted(checkpoint.components.items())
        if component.quantized
    }
    request = request.changed(not_comparable=(*request.remarks.not_comparable, *reasons.values()))
    if "transformer" not in reasons or request.adapters.lora_merge is None:
        return request
    regime, reason = regime_of(lora_merge, request.base, "live", f"{AUTO}: {reasons['transformer']}")
    return request.changed(lora_merge=regime, lora_merge_reason=reason)


def write_requests(draft: Path, checkpoint_file: Path, output: Path, store: Store) -> None:
    """draft + checkpoint → requests, one combination."""
    planned, checkpoint = PlannedCombination.read(draft), Checkpoint.read(checkpoint_file)
    samplings = {(request.base.family, request.sampling) for request in planned.requests}
    seen = {(image.path, family, each.ctrl_idx) for family, each in samplings for image in each.ctrl_images}
    raise_together(_image_faults(seen))
    check_loras(planned.requests, Path(checkpoint["transformer"].path))
    requests = tuple(complete(request, planned.lora_merge, checkpoint, store.sha256) for request in planned.requests)
    replace(planned, requests=requests).write(output, with_ids=True)


def _image_faults(seen: set[tuple[str, str, int | None]]) -> Iterator[ImageError]:
    """Read each image whole: a header that was well at the start says nothing about the rest, nor about now.

    `seen`: paths, each with the family and the ctrl_idx that it is for.
    """
    for path, family, ctrl_idx in sorted(seen, key=str):
        try:
            check_image(path, family, ctrl_idx)
            read_reference(path)
        except ImageError as error:
            yield error
