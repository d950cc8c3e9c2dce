"""An estimate as people read it, before they spend anything: a line each for time, downloads, disk."""

from collections.abc import Iterator, Sequence

from darkroom.display import counted, lasting, printable, sized
from darkroom.errors import DarkroomError
from darkroom.plan.estimate.estimate import Estimate

_NAME = 11  # characters of the column of names


def told(
    estimate: Estimate,
    memory: Sequence[str] = (),
    problems: Sequence[DarkroomError] = (),
    notes: Sequence[str] = (),
    cluster: Sequence[str] = (),
) -> str:
    """A few lines. `memory`: a sentence a model; `cluster`: what its jobs take; `problems`: why pictures would fail.

    `notes`: what else is so.
    """
    lines = [f"{estimate.experiment}: {_pictures(estimate)}"]
    if estimate.to_render:
        lines += _entry("time", [_time(estimate), *estimate.basis])
        lines += _entry("cluster", cluster)
        lines += _entry("downloads", list(_downloads(estimate)))
        lines += _entry("memory", memory)
        lines += _entry("disk", [_disk(estimate)])
    lines += _entry("notes", notes)
    lines += _entry("problems", [line for problem in problems for line in str(problem).splitlines()])
    return "\n".join(map(printable, lines)) + "\n"


def question(estimate: Estimate) -> str:
    """What a run asks that would take much."""
    fetched = f", after {sized(estimate.download_size)} of downloads" if estimate.download_size else ""
    return f"{counted(estimate.to_render, 'picture')}, {_about(estimate)}{fetched}. Begin?"


def _pictures(estimate: Estimate) -> str:
    said = counted(estimate.pictures, "picture")
    if not estimate.to_render:
        return f"{said}, all there: nothing to render"
    return f"{said}, {estimate.there:,} there, {estimate.to_render:,} to render"


def _time(estimate: Estimate) -> str:
    loads = counted(estimate.loads, "base model")
    changes = f", {counted(estimate.switches, 'change')} of LoRA weights"
    return f"{_about(estimate)}; {loads} to load{changes if estimate.switches else ''}"


def _about(estimate: Estimate) -> str:
    if estimate.seconds is None:
        return "nobody can tell how long"
    return f"{'at a guess' if estimate.is_guess else 'about'} {lasting(estimate.seconds)}"


def _downloads(estimate: Estimate) -> Iterator[str]:
    if not estimate.downloads:
        yield "none"
    for each in estimate.downloads:
        size = "of unknown size" if each.size is None else f"{'about ' if each.is_about else ''}{sized(each.size)}"
        yield f"{each.repo}: {', '.join(each.parts)}, {size}"
        if each.licence:
            yield (
                f"  gated: accept {each.licence} at https://huggingface.co/{each.repo}, then set HF_TOKEN to your token"
            )
    if estimate.download_size > estimate.cache_free:
        yield f"too much: {sized(estimate.cache_free)} are free; HF_HOME names a folder on another disk"


def _disk(estimate: Estimate) -> str:
    said = f"about {sized(estimate.disk_needed)} of pictures, {sized(estimate.disk_free)} free"
    is_short = estimate.disk_needed > estimate.disk_free
    return f"{said}: too little; `darkroom prune` shows what can go" if is_short else said


def _entry(name: str, said: Sequence[str]) -> list[str]:
    return [f"  {name if number == 0 else '':{_NAME}}{line}" for number, line in enumerate(said)]
