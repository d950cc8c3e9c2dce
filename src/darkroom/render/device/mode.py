"""Which memory mode a model runs in: numbers in, a plan with its reason out. Knows no torch, no files, no device.

resident  everything on the device
model     on the device only what is in use: the transformer while it denoises, the VAE while it codes
block     of the transformer, two blocks at a time

Numerics are the same in every mode, so no id has it. The footprints are the families' (families/flux2/footprint.py);
docs/memory.md tells the rule in words. GB are 10^9 bytes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Self

from darkroom.errors import ConfigError, DeviceMemoryError
from darkroom.request.request import Request

RESIDENT, MODEL, BLOCK = "resident", "model", "block"
LADDER = (RESIDENT, MODEL, BLOCK)  # from the fastest to the smallest
TEXT_LADDER = (RESIDENT, BLOCK)  # a text encoder has nothing to change places with
# Where the weights that adapters are merged into rest as they were before: copied, or in the file as ever.
ON_DEVICE, PINNED, IN_FILE = "device", "pinned", "file"
AUTO = "auto"
WISHES = {AUTO: AUTO, "none": RESIDENT, MODEL: MODEL, BLOCK: BLOCK}  # what --offload may say → mode

_COPIED = {
    ON_DEVICE: "{} more for the weights that adapters are merged into",
    PINNED: "{} of pinned memory beside it for the weights that adapters are merged into",
    IN_FILE: "no room for {} of weights that adapters are merged into, which are read again from the file",
}
_MARGIN_SHARE, _MARGIN_BYTES = 0.05, 512 * 2**20  # fragments of the allocator; workspaces of cuBLAS and cuDNN


@dataclass(frozen=True)
class Footprint:
    """What one model takes, in bytes. A text encoder has no `vae` and no `coding`."""

    weights: int  # of the transformer, or the text encoder
    blocks: int  # of these, the two largest blocks: one computes while the next one arrives
    outside: int  # of these, what is in no block
    vae: int
    rewriting: int  # temporaries while one layer is loaded, quantised, or has adapters merged into it
    computing: int  # temporaries of a forward pass of the transformer, live adapters included
    coding: int  # temporaries of the VAE
    touched: int = 0  # of the weights, what adapters can be merged into; 0 for a text encoder, and quantised

    def peak(self, mode: str) -> int:
        """The most that is on the device at a time."""
        if mode == RESIDENT:
            return self.weights + self.vae + max(self.rewriting, self.computing, self.coding)
        on_device = self.weights if mode == MODEL else self.outside + self.blocks
        return max(self.rewriting, on_device + self.computing, self.vae + self.coding)

    def at_rest(self, mode: str) -> int:
        """What is on the device between two pictures."""
        return self.weights + self.vae if mode == RESIDENT else 0

    def beside(self, mode: str) -> int:
        """What rests in the computer's memory."""
        return 0 if mode == RESIDENT else self.weights + self.vae


@dataclass(frozen=True)
class Workload:
    """What of a request its memory depends on."""

    width: int  # pixels, as is `height`
    height: int
    references: int  # images
    text_tokens: int
    live_adapters: tuple[str, ...]  # paths; () where adapters are merged
    merges: bool = False  # adapters into weights
    passes: int = 1  # at a time: 2 with classifier-free guidance, unless a family has one after the other

    @classmethod
    def of(cls, request: Request) -> Self:
        sampling, adapters = request.sampling, request.adapters
        is_live = adapters.lora_merge == "live"
        return cls(
            width=sampling.width,
            height=sampling.height,
            references=len(sampling.ctrl_images),
            text_tokens=request.encoder.max_sequence_length,
            live_adapters=tuple(lora.path for lora in adapters.active) if is_live else (),
            merges=bool(adapters.active) and not is_live,
            passes=2 if request.uses_neg else 1,
        )


@dataclass(frozen=True)
class Budget:
    """The memory there is, in bytes. On a CPU `free` is the computer's own, and `host_free` the same.

    `host_limit`: what holds the process to less of the computer's than all; "" where nothing does.
    """

    device: str  # cuda | cpu
    free: int
    total: int
    host_free: int
    host_limit: str = ""

    def without(self, held: int, beside: int) -> "Budget":
        """What there would be without a model that holds so much on the device, and so much beside it."""
        on_device = held + (beside if self.device == "cpu" else 0)
        return replace(self, free=self.free + on_device, host_free=self.host_free + beside)

    def lacks(self, footprint: Footprint, mode: str) -> str | None:
        """A clause on what is too small for this mode, None when it fits."""
        if with_margin(footprint.peak(mode)) > self.free:
            return f"{mode} needs {_gb(with_margin(footprint.peak(mode)))} on the device"
        if self.lacks_host(footprint, mode):
            free = f"{_gb(self.host_free)} are free{_of(self.host_limit)}"
            return f"{mode} needs {_gb(footprint.beside(mode))} beside it, where {free}"
        return None

    def lacks_host(self, footprint: Footprint, mode: str) -> bool:
        """True where the computer's own memory is too small for this mode."""
        if self.device == "cpu":
            return with_margin(footprint.peak(mode)) > self.free
        return footprint.beside(mode) > self.host_free

    def place_of_copy(self, footprint: Footprint, mode: str) -> str:
        """Where this mode leaves room for a copy of the weights that adapters are merged into."""
        touched = footprint.touched
        if mode == RESIDENT and with_margin(footprint.peak(mode) + touched) <= self.free:
            return ON_DEVICE
        if self.device != "cpu" and with_margin(footprint.beside(mode) + touched) <= self.host_free:
            return PINNED
        return IN_FILE


@dataclass(frozen=True)
class MemoryPlan:
    """The mode chosen, the peak expected in it (bytes, without margin), and one sentence on why.

    `copy`: where the weights under merged adapters rest, a copy beside the estimate; None where none are merged.
    """

    mode: str
    estimate: int
    reason: str
    wish: str  # that it answers, of WISHES
    copy: str | None = None


def plan(
    footprints: Mapping[str | None, Footprint],
    quantization: str | None,
    budget: Budget,
    wish: str = AUTO,
    ladder: Sequence[str] = LADDER,
    *,
    merges: bool = False,
) -> MemoryPlan:
    """The first mode of the ladder that fits, or the one that is wished for, whether it fits or not.

    `footprints` by quantisation, null for none: nothing is quantised here that was not asked for, but DeviceMemoryError
    says what would fit. On a CPU it is resident: the weights are in its memory wherever they rest. What adapters are
    merged into (`merges`) is copied where the mode leaves room, and decides no mode.
    """
    footprint, wanted = footprints[quantization], mode_of(wish)
    planned = partial(_plan, footprint, budget, wish, merges=merges)
    if wanted != AUTO:
        mode = wanted if wanted in ladder else ladder[0]
        asked = "as asked for" if mode == wanted else f"{wanted} was asked for, which is {mode} for a text encoder"
        short = budget.lacks(footprint, mode)
        return planned(mode, [asked, *([f"though {short}: may run out"] if short else [])])
    if budget.device == "cpu":
        short = budget.lacks(footprint, RESIDENT)
        return planned(RESIDENT, ["on a CPU", *([f"though {short}: may run out"] if short else [])])
    too_large: list[str] = []
    for mode in ladder:
        short = budget.lacks(footprint, mode)
        if short is None:
            return planned(mode, too_large or ["the fastest that fits"])
        too_large.append(short)
    raise DeviceMemoryError(_nothing_fits(footprints, quantization, budget, ladder, too_large))


def plan_after_failure(footprint: Footprint, budget: Budget, wish: str, mode: str, said: str) -> MemoryPlan:
    """This mode, whether it fits or not, and no copy of weights, after memory ran out (`said`)."""
    without_copy = _plan(footprint, budget, wish, mode, [f"after memory ran out ({said})"])
    return replace(without_copy, copy=IN_FILE)


def lower(mode: str, ladder: Sequence[str] = LADDER) -> str:
    """The next mode down the ladder; the last one itself."""
    return ladder[min(ladder.index(mode) + 1, len(ladder) - 1)]


def mode_of(wish: str) -> str:
    """The mode that the resource `offload` names, or AUTO; ConfigError for another word."""
    if wish not in WISHES:
        raise ConfigError(f"offload: expected one of {', '.join(WISHES)}, got {wish} (a resource of the rule render)")
    return WISHES[wish]


def with_margin(estimate: int) -> int:
    """What has to be free for an estimate to count as fitting."""
    return estimate + int(_MARGIN_SHARE * estimate) + _MARGIN_BYTES


def _plan(
    footprint: Footprint, budget: Budget, wish: str, mode: str, why: Sequence[str], *, merges: bool = False
) -> MemoryPlan:
    estimate = footprint.peak(mode)
    copy = budget.place_of_copy(footprint, mode) if merges else None
    where = f" and {_COPIED[copy].format(_gb(footprint.touched))}" if copy else ""
    reason = f"{mode}: {'; '.join(why)}; estimate {_gb(estimate)}{where}, {_free(budget)}"
    return MemoryPlan(mode, estimate, reason, wish, copy)


def _nothing_fits(
    footprints: Mapping[str | None, Footprint],
    quantization: str | None,
    budget: Budget,
    ladder: Sequence[str],
    too_large: Sequence[str],
) -> str:
    smaller = [
        f"{name} ({mode}, {_gb(with_margin(footprint.peak(mode)))})"
        for name, footprint in footprints.items()
        if name is not None and name != quantization
        for mode in [next((mode for mode in ladder if budget.lacks(footprint, mode) is None), None)]
        if mode is not None
    ]
    weights = "the text encoder" if ladder == TEXT_LADDER else "the transformer"
    help_ = f"quantising {weights} would fit and change the picture: {', '.join(smaller)}; else " if smaller else ""
    return (
        f"not enough memory: {_free(budget)}; {'; '.join(too_large)} (weights {_gb(footprints[quantization].weights)}, "
        f"quantised: {quantization or 'no'}). Free memory on the device; {help_}use a smaller picture or another device"
    )


def _free(budget: Budget) -> str:
    whose = _of(budget.host_limit) if budget.device == "cpu" else ""
    return f"{_gb(budget.free)} of {_gb(budget.total)} free{whose}"


def _of(limit: str) -> str:
    return f" (the limit of {limit})" if limit else ""


def _gb(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
