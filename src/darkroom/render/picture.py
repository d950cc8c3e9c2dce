"""Gives a device the work of one picture on a loaded base: weights, latents, pixels; and fetches what came of it."""

import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from darkroom.errors import PictureError, StoreError
from darkroom.files.content import check_planned, read_content
from darkroom.files.regular_file import ANY_SIZE, read_regular
from darkroom.record.circumstances import Cost, LoraUse
from darkroom.record.embedded import EmbeddedRecord
from darkroom.render.adapters.file import Adapter
from darkroom.render.device.environment import environment_of, peak_memory_bytes, reset_peak_memory
from darkroom.render.device.lost import telling_of_loss
from darkroom.render.device.mode import RESIDENT
from darkroom.render.device.stream import Event, to_device
from darkroom.render.family import family
from darkroom.render.loaded import Loaded
from darkroom.render.weights.tensor_file import tensors_in
from darkroom.request.parts import Lora
from darkroom.request.request import Request
from darkroom.store import Store

_Embeds = dict[str, torch.Tensor]  # tensors by name, as the family's text encoder made them


@dataclass(frozen=True, eq=False)
class Made:
    """A picture that has come from the device, with what it took."""

    latents: torch.Tensor  # on the CPU, float32
    pixels: NDArray[np.uint8]  # (height, width, 3)
    record: EmbeddedRecord
    cost: Cost  # but for seconds_save


@dataclass(frozen=True, eq=False)
class Queued:
    """A picture that the device is working on, or has yet to begin."""

    request: Request
    latents: torch.Tensor  # on the CPU, float32; with their values once the device has passed `points`, as `pixels`
    pixels: torch.Tensor
    points: Sequence[Event]  # of the device: begun, switched, denoised, decoded
    record: EmbeddedRecord
    cost: Callable[..., Cost]  # of the seconds that the device took, by name

    def fetch(self) -> Made:
        """Wait for it, in any thread; PictureError where it ended in NaN or black, DeviceLostError."""
        with telling_of_loss():
            self.points[-1].wait()
            switch, denoise, decode = (after.seconds_since(before) for before, after in pairwise(self.points))
        _check(self.request, self.latents, self.pixels)
        cost = self.cost(seconds_switch=switch, seconds_denoise=denoise, seconds_decode=decode)
        return Made(self.latents, self.pixels.numpy(), self.record, cost)


def make_picture(store: Store, request: Request, loaded: Loaded, check: Callable[[], None]) -> Made:
    """`queue_picture`, waited for."""
    return queue_picture(store, request, loaded, check).fetch()


def queue_picture(store: Store, request: Request, loaded: Loaded, check: Callable[[], None]) -> Queued:
    """Give the device one request on a loaded base, behind what it has; nothing here waits for what it makes of it.

    `check` is called after each denoising step is given, and may raise to abandon it.
    """
    started_at, device = datetime.now(UTC).isoformat(timespec="milliseconds"), loaded.base.device
    kind, stream = family(request.base.family), loaded.stream
    reset_peak_memory(device)
    begun = stream.point()
    # 1. Weights, while they rest: on the device in its order, elsewhere once it fetches them no more
    if loaded.memory.mode != RESIDENT:
        begun.wait()
    loras, switched_from = _merge(loaded, request)
    switched = stream.point()
    # 2. Latents
    prompt, neg = _embeds(store, request, loaded)
    seen = [loaded.reference(image, request) for image in request.sampling.ctrl_images]
    with loaded.use("transformer"):
        latents, sigmas = kind.denoise(loaded.base, request.sampling, prompt, neg, seen, on_step=lambda step: check())
    denoised = stream.point()
    # 3. Pixels
    with loaded.use("vae"):
        pixels = kind.decode(loaded.base, latents)
    # 4. Both on their way, and the point at which they have arrived
    coming = stream.to_host(latents.float()), stream.to_host(pixels)
    decoded = stream.point()
    cost = partial(
        Cost,
        worker_pid=os.getpid(),
        host=platform.node(),
        base_load_id=loaded.load_id,
        seconds_load=loaded.claim_load_seconds(),
        seconds_save=None,
        peak_memory_bytes=peak_memory_bytes(device),
        memory_mode=loaded.memory.mode,
        memory_plan=loaded.memory.reason,
        started_at=started_at,
        switched_from=switched_from,
    )
    record = EmbeddedRecord.of(request, environment_of(device, loaded.base.dtype), loras, sigmas)
    return Queued(request, *coming, (begun, switched, denoised, decoded), record, cost)


def _check(request: Request, latents: torch.Tensor, pixels: torch.Tensor) -> None:
    """A black picture is no picture: NaN comes from an adapter's or an embedding's values, not from the prompt."""
    lost, count = int((~torch.isfinite(latents)).sum()), latents.numel()
    if lost:
        adapters = ", ".join(f"{lora.path} at {lora.network_multiplier}" for lora in request.adapters.active)
        suspects = [name for name in (request.text.prompt_embeds, adapters) if name] or ["the base model"]
        raise PictureError(
            f"{request.title.image_name}: denoising ended in NaN or infinity, in {lost} of {count} numbers, so there "
            f"is no picture: look at the values of {' and of '.join(suspects)}"
        )
    if not bool(pixels.any()):
        least, most = float(latents.min()), float(latents.max())
        raise PictureError(
            f"{request.title.image_name}: decoding ended in black, in all {pixels.numel()} numbers, of latents from "
            f"{least:.4g} to {most:.4g}, so there is no picture: look at the VAE of {request.source.checkpoint}"
        )


def _merge(loaded: Loaded, request: Request) -> tuple[list[LoraUse], str | None]:
    """What is in effect for the request, and where weights that were rewritten for it came from."""
    adapters = loaded.adapters(request)
    stack = [(adapters[lora.sha256], lora.network_multiplier) for lora in request.adapters.active]
    regime = request.adapters.lora_merge or "merged"
    changed = loaded.stack.apply(stack, regime)
    lost_in = str(loaded.base.dtype).removeprefix("torch.") if loaded.stack.is_lost_in_rounding else None
    uses = [
        _use(lora, adapters[lora.sha256], lost_in) if lora in request.adapters.active else LoraUse.of_none(lora)
        for lora in request.adapters.loras
    ]
    return uses, loaded.pristine.place if changed and regime != "live" else None


def _use(lora: Lora, adapter: Adapter, lost_in: str | None) -> LoraUse:
    """The adapter may have been read where an earlier request has the same content.

    `lost_in`: the dtype of base weights that its delta is too small to change.
    """
    lost = (
        f"{adapter.path}: changes nothing: at strength {lora.network_multiplier:g} its deltas are below what {lost_in} "
        "weights can hold, so that pictures are the base model's; give it more strength, or use lora_merge: live"
    )
    use = LoraUse(
        path=adapter.path,
        sha256=lora.sha256,
        network_multiplier=lora.network_multiplier,
        format=adapter.format,
        matched_keys=adapter.matched_keys,
        left_out_keys=adapter.left_out,
        warning=adapter.warning,
        tool=adapter.tool,
        dead=adapter.dead or (lost if lost_in else None),
        trainer=adapter.trainer,
    )
    return use.of_file(lora)


def _planned(embeds: str, request: Request) -> bytes:
    """The encoded prompt that conf/ names; StoreError where it is gone, or not what was planned."""
    content = read_regular(Path(embeds), ANY_SIZE, StoreError)
    check_planned(content, embeds, request.text.prompt_embeds_sha256)
    return content


def _embeds(store: Store, request: Request, loaded: Loaded) -> tuple[_Embeds, _Embeds | None]:
    """Of the prompt, from its own file or the store, and of the negative prompt if it is used.

    CheckpointError where conf/ names another model's file, or another model's text encoder; StoreError where the
    store's is gone meanwhile.
    """

    def read(content: bytes, path: str | Path, source: str) -> _Embeds:
        embeds = {name: to_device(tensor, loaded.base.device) for name, tensor in tensors_in(content, path).items()}
        loaded.base.check_features(embeds, source)
        return embeds

    def stored(text: str) -> _Embeds:
        path = store.embedding(request.encoder.embedding_id(text))
        try:
            content = read_content(path)
        except StoreError as error:
            raise StoreError(f"{error}, since the job began; the next run encodes it again") from error
        return read(content, path, request.source.text_encoder)

    own = request.text.prompt_embeds
    prompt = read(_planned(own, request), own, own) if own else stored(request.text.prompt)
    return prompt, stored(request.text.neg) if request.uses_neg else None
