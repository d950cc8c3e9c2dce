"""A training's checkpoints, rendered: two steps at two strengths and the base model, two prompts each."""

from dataclasses import replace
from pathlib import Path

from tests.review.renders import picture, render

from darkroom.files.weight_file import sha256_of
from darkroom.record.circumstances import LoraUse
from darkroom.record.rows import Record, write_records
from darkroom.request.parts import Lora
from darkroom.review.choosing.candidate import Candidate
from darkroom.store import ExperimentFolder

EXPERIMENT = "star_pick"
STEPS, STRENGTHS = (250, 500), (0.5, 1.0)


def checkpoint(step: int) -> Path:
    return Path(f"output/star/star_{step:09d}.safetensors")


def sweep(folder: Path = Path()) -> list[Record]:
    """The rows of its manifest; files and pictures lie in `folder`."""
    rows = [render(folder, picture(), index, lora="none", loras=(), **_titled(index)) for index in (0, 1)]
    rows = [replace(row, loras=()) for row in rows]
    for step in STEPS:
        (folder / checkpoint(step)).parent.mkdir(parents=True, exist_ok=True)
        (folder / checkpoint(step)).write_bytes(b"weights of step %d" % step)
        for strength in STRENGTHS:
            rows += [_row(folder, step, strength, index) for index in (0, 1)]
    return rows


def _titled(index: int) -> dict[str, object]:
    return {"experiment": EXPERIMENT, "seed": 42, "prompt": ("a cat", "a dog")[index], "axes": (("seed", 42),)}


def _row(folder: Path, step: int, strength: float, index: int) -> Record:
    file = Lora(str(checkpoint(step)), 0.9 * strength, sha256_of(folder / checkpoint(step)))
    axes = (("network_multiplier", strength), ("seed", 42))
    title = {**_titled(index), "lora": f"star_{step:09d}", "axes": axes, "network_multiplier": strength}
    made = render(folder / f"{step}_{strength}", picture(shift=step // 10), index, loras=(file,), **title)
    return replace(made, loras=(LoraUse(file.path, file.sha256, file.network_multiplier, "ai-toolkit", 96),))


def write_experiment(rows: list[Record]) -> None:
    write_records(ExperimentFolder(Path("results") / EXPERIMENT).manifest, rows, {"experiment": EXPERIMENT})


def ids(rows: list[Record], step: int | None, strength: float | None) -> list[str]:
    """Of the pictures of a candidate, in the order of their prompts."""
    return [row.request_id for row in rows if _place(row) == (step, strength)]


def _place(row: Record) -> tuple[int | None, float | None]:
    candidate = Candidate.of(row.request)
    return candidate.step, candidate.strength
