"""`darkroom explain --try`: the sheet of trials for one picture, from its request and its preview."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from darkroom.errors import ConfigError, StoreError
from darkroom.named_picture import list_of_previews, listed, previews_of, read_render
from darkroom.plan.trials.factors import trials_of, where
from darkroom.plan.trials.lora_steps import other_steps
from darkroom.plan.trials.recorded import Recorded
from darkroom.planned import PlannedCombination
from darkroom.previews import DARKROOM, Preview
from darkroom.record.embedded import EmbeddedRecord
from darkroom.request.parts import Lora
from darkroom.request.request import Request
from darkroom.store import ENDINGS, STORE, ExperimentFolder, Store, format_of
from darkroom.trials import EXPLAIN, Trial, TrialSheet

_PIXELS_PER_TOKEN = 16  # per side, of every family
_DIVISORS = (8, 16, 32, 48, 64)


@dataclass(frozen=True)
class _Planned:
    """A combination as it was planned: what is asked for now."""

    request: Request
    output: Mapping[str, Any]  # conf's output section


def write_trials(image: Path, results: Path, preview: Path | None = None) -> Path:
    """Plan the trials for one render; the path of their sheet, below results/<experiment>/explain/.

    `preview`: which one, where there are several of the same picture; else the latest that can be reproduced.
    ImageError for a file that is no render, StoreError where the experiment does not ask for it (any more) or has no
    preview of it.
    """
    record = read_render(image)
    asked = record.request.title
    folder = ExperimentFolder(results / asked.experiment)
    planned = _planned(record, folder, image)
    stored = _preview(record, results, preview)
    store = Store(results / STORE)
    start, size_in_conf = _at_size_of(planned.request, stored)
    recorded = Recorded(start, stored.then, store.sha256)
    steps = {lora.path: _other_steps(lora, store) for lora in start.adapters.loras}
    sheet = TrialSheet(
        name=f"explain {asked.image_name}",
        checkpoint=str(folder.checkpoint(asked.model)),
        threads=record.environment.threads,
        **_format(stored, planned.output),
        trials=(*_baseline(planned.request, start, size_in_conf), *trials_of(start, recorded.factors, steps)),
        not_tried=(*recorded.not_tried, *_untried_size(planned.request, start, stored)),
        image=str(image),
        preview=stored.path,
    )
    path = folder.root.joinpath(EXPLAIN, *asked.names, asked.image_name, "trials.json")
    sheet.write(path)
    return path


def _planned(record: EmbeddedRecord, folder: ExperimentFolder, image: Path) -> _Planned:
    asked = record.request.title
    planned = PlannedCombination.read(folder.requests(asked.names))
    for request in planned.requests:
        if request.request_id == record.request_id and request.title.image_name == asked.image_name:
            return _Planned(request, planned.output)
    raise StoreError(
        f"{image}: experiment {asked.experiment} does not ask for this picture any more; run Snakemake again, and "
        "explain the picture that it puts there"
    )


def _preview(record: EmbeddedRecord, results: Path, wanted: Path | None) -> Preview:
    """Of several previews of one picture, as after a resumed training, the latest that can be reproduced."""
    of_picture = previews_of(record, results, wanted)
    stored = [preview for preview in of_picture if preview.path and Path(preview.path).is_file()]
    if not stored:
        file, name = list_of_previews(record, results), record.request.title.image_name
        raise StoreError(f"{file}: expected a stored picture for {name}, got: {listed(of_picture)}")
    return max(stored, key=lambda preview: (preview.reason is None, preview.made_at or ""))


def _at_size_of(request: Request, preview: Preview) -> tuple[Request, str]:
    """The request at the preview's size, where that can be rendered, and how conf/ would say it."""
    now = (request.sampling.width, request.sampling.height)
    size = (preview.width or now[0], preview.height or now[1])
    if size == now or any(side % _PIXELS_PER_TOKEN for side in size):
        return request, ""
    asked = (request.asked.width_requested, request.asked.height_requested)
    divisors = [d for d in _DIVISORS if tuple(side - side % d for side in asked) == size]
    in_conf = f"width: {size[0]}, height: {size[1]} in {where('width', request)}"
    if divisors:
        in_conf += f" (asked for is {asked[0]}x{asked[1]}, of which resolution_divisor: {divisors[0]} makes this)"
    return request.changed(width=size[0], height=size[1]), in_conf


def _baseline(request: Request, start: Request, size_in_conf: str) -> tuple[Trial, ...]:
    """The picture as it is; and at the preview's size, which all trials then have, where that is another."""
    if start == request:
        return (Trial("as it is", request, is_baseline=True),)
    return Trial("as it is", request), Trial("as it is, at the preview's size", start, size_in_conf, is_baseline=True)


def _untried_size(request: Request, start: Request, preview: Preview) -> list[str]:
    size = (preview.width or request.sampling.width, preview.height or request.sampling.height)
    if size == (start.sampling.width, start.sampling.height):
        return []
    return [
        f"size {size[0]}x{size[1]}, the preview's: sides are multiples of {_PIXELS_PER_TOKEN}, so nothing that is "
        "rendered here can have it"
    ]


def _other_steps(lora: Lora, store: Store) -> Sequence[Lora]:
    return [replace(lora, path=str(path), sha256=store.sha256(path)) for path in other_steps(Path(lora.path))]


def _format(preview: Preview, output: Mapping[str, Any]) -> dict[str, Any]:
    """As the preview was written, if by Darkroom; a trainer's encoding is put on when pictures are compared."""
    if preview.origin != DARKROOM:
        return {"image_format": "png", "quality": 100}
    image_format = format_of(Path(preview.path or ""))
    if image_format not in ENDINGS:
        raise ConfigError(f"{preview.path}: expected a picture in one of the formats {', '.join(ENDINGS)}")
    return {"image_format": image_format, "quality": output["quality"]}
