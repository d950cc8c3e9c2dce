"""What a run would take before it is begun: pictures, loads, seconds, downloads, disk. Numbers in, numbers out.

    estimate(experiment, missing, past, machine) → Estimate

Seconds are those of the same model's pictures that results/ remembers, by the tokens that go through the transformer;
of a model that was never rendered here they are a guess, and said to be one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from darkroom.names import Names
from darkroom.plan.estimate.past import CostClass, PastPicture, alike, passes_of, seconds_for_work, work_of
from darkroom.plan.experiment import Experiment
from darkroom.plan.weights.downloads import Download
from darkroom.request.request import Request

START = 10.0  # seconds from the command to the first denoising step, less the load of the model
LONG, LARGE = 600.0, 10**9  # seconds and bytes to download above which a run asks first

# Guesses: floating-point operations a second, the least seconds of a pass, bytes of weights read in a second.
_GPU, _CORE, _PASS, _READING = 60e12, 15e9, 0.01, 1e9
# Bytes a pixel of pictures as they were seen, and of latents in float32.
_PER_PIXEL = {"png": 1.5, "jpeg": 0.4, "webp": 0.3}
_LATENTS = 2.0


@dataclass(frozen=True, kw_only=True)
class MachineFacts:
    """What of this machine counts. `weights`: bytes of a model's transformer, None where nobody knows."""

    card: str | None  # the GPU's name
    cores: int
    disk_free: int  # bytes, where results/ lies
    cache_free: int  # bytes, where the hub's files are kept
    weights: Mapping[str, int | None]  # by model
    downloads: tuple[Download, ...]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What is to be expected of a run."""

    experiment: str
    pictures: int
    there: int
    loads: int  # of base models
    switches: int  # to other LoRA files or strengths, on a loaded base
    seconds: float | None  # of wall time; None where a model's size is not known
    basis: tuple[str, ...]  # what the seconds rest on: a sentence for each model
    is_guess: bool  # some of them rest on no picture of this machine
    downloads: tuple[Download, ...]
    disk_needed: int  # bytes of the pictures
    disk_free: int
    cache_free: int

    @property
    def to_render(self) -> int:
        return self.pictures - self.there

    @property
    def download_size(self) -> int:
        """Bytes, of those whose size is known."""
        return sum(each.size or 0 for each in self.downloads)

    @property
    def is_much(self) -> bool:
        """More than a run begins without asking."""
        return (self.seconds or 0.0) > LONG or self.download_size > LARGE


def estimate(
    experiment: Experiment,
    missing: Mapping[Names, Sequence[Request]],
    past: Sequence[PastPicture],
    machine: MachineFacts,
) -> Estimate:
    """`missing`: the pictures of each combination that are not there."""
    by_model: dict[str, list[Request]] = {}
    for names, requests in missing.items():
        if requests:
            by_model.setdefault(names.model, []).extend(requests)
    paces = {name: _pace(name, requests, past, machine) for name, requests in by_model.items()}
    to_render = sum(map(len, by_model.values()))
    known = all(pace.seconds is not None for pace in paces.values())
    return Estimate(
        experiment=experiment.name,
        pictures=experiment.images,
        there=experiment.images - to_render,
        loads=len(by_model),
        switches=sum(map(_switches, by_model.values())),
        seconds=sum((pace.seconds or 0.0 for pace in paces.values()), START if to_render else 0.0) if known else None,
        basis=tuple(pace.basis for pace in paces.values()),
        is_guess=any(pace.is_guess for pace in paces.values()),
        downloads=machine.downloads,
        disk_needed=_disk([r for requests in by_model.values() for r in requests], past, experiment),
        disk_free=machine.disk_free,
        cache_free=machine.cache_free,
    )


@dataclass(frozen=True)
class _Pace:
    seconds: float | None
    basis: str
    is_guess: bool


def _pace(name: str, requests: Sequence[Request], past: Sequence[PastPicture], machine: MachineFacts) -> _Pace:
    there = alike(past, CostClass.of(requests[0]))
    return _remembered(name, requests, there) if there else _guessed(name, requests, machine)


def _remembered(name: str, requests: Sequence[Request], there: Sequence[PastPicture]) -> _Pace:
    loads = [picture.seconds_load for picture in there if picture.seconds_load > 0]
    load = sum(loads) / len(loads) if loads else 0.0
    seconds = load + seconds_for_work(there) * sum(map(work_of, requests))
    device = "a CPU" if there[0].device == "cpu" else there[0].device
    said = f"{name}: as the {len(there)} of it that results/ has, on {device}"
    return _Pace(seconds, said, False)


def _guessed(name: str, requests: Sequence[Request], machine: MachineFacts) -> _Pace:
    """Two operations for each weight and token, at the speed of an ordinary device."""
    weights = machine.weights[name]
    if weights is None:
        return _Pace(None, f"{name}: never rendered here, and of unknown size: nobody can tell", True)
    speed = _GPU if machine.card else _CORE * machine.cores
    parameters = weights / 2  # of 16 bits
    each = (max(2 * parameters * work_of(r) / speed, _PASS * passes_of(r)) for r in requests)
    device = machine.card or f"{machine.cores} CPU cores"
    said = f"{name}: never rendered here, so by its size and {speed / 1e12:.2g} TFLOP/s for {device}"
    return _Pace(weights / _READING + sum(each), said, True)


def _switches(requests: Sequence[Request]) -> int:
    """Times that LoRA weights change on a model, its pictures being in the order in which they change least."""
    stacks = {tuple((lora.path, lora.network_multiplier) for lora in r.adapters.active) for r in requests}
    return len(stacks - {()})


def _disk(requests: Sequence[Request], past: Sequence[PastPicture], experiment: Experiment) -> int:
    """Bytes; PNGs as those of results/ where there are some."""
    output = experiment.output
    seen = [picture for picture in past if picture.size]
    per_pixel = _PER_PIXEL[output.format]
    if seen and output.format == "png":
        per_pixel = sum(picture.size for picture in seen) / sum(picture.pixels for picture in seen)
    return int(_pixels(requests) * (per_pixel + (_LATENTS if output.save_latents else 0.0)))


def _pixels(requests: Iterable[Request]) -> int:
    return sum(request.sampling.width * request.sampling.height for request in requests)
