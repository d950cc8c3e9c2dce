"""Makes one picture on a loaded base: weights, latents, pixels. Knows no combination and no image file."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import torch
from safetensors.torch import load_file

from darkroom.errors import PictureError
from darkroom.record import Environment, LoraUse
from darkroom.render.device.environment import environment_of, peak_memory_bytes, reset_peak_memory
from darkroom.render.family import family
from darkroom.render.pipelines import Loaded
from darkroom.request import Request
from darkroom.store import Store

AdapterRead = tuple[str, int, int, str | None]  # format, keys applied, keys left out, warning
_NOT_READ: AdapterRead = ("not applied", 0, 0, None)
_Embeds = dict[str, torch.Tensor]  # tensors by name, as the family's text encoder made them


@dataclass(frozen=True, eq=False)
class Made:
    """A picture as it comes from the device, with what it took."""

    latents: torch.Tensor  # on the CPU, float32
    pixels: Any
    sigmas: list[float]
    loras: list[LoraUse]
    environment: Environment
    cost: dict[str, Any]  # Cost, but for seconds_save


def make_picture(store: Store, request: Request, loaded: Loaded, check: Callable[[], None]) -> Made:
    """Render one request on a loaded base; `check` is called after each denoising step and may raise to abandon it."""
    started_at, device = datetime.now(UTC).isoformat(timespec="milliseconds"), loaded.base.device
    kind = family(request.family)
    reset_peak_memory(device)
    started = time.monotonic()
    # 1. Weights, while they rest
    loras = _merge(loaded, request)
    switched = time.monotonic()
    # 2. Latents
    prompt, neg = _embeds(store, request, device)
    seen = [loaded.reference(image, request) for image in request.ctrl_images]
    with loaded.use("transformer"):
        latents, sigmas = kind.denoise(loaded.base, request, prompt, neg, seen, on_step=lambda step: check())
    latents_on_cpu = latents.float().cpu()  # also waits for the device, so that the clock is right
    _check_finite(request, latents_on_cpu)
    denoised = time.monotonic()
    # 3. Pixels
    with loaded.use("vae"):
        pixels = kind.decode(loaded.base, latents)
    decoded = time.monotonic()
    cost = {
        "seconds_load": loaded.claim_load_seconds(),
        "seconds_switch": switched - started,
        "seconds_denoise": denoised - switched,
        "seconds_decode": decoded - denoised,
        "peak_memory_bytes": peak_memory_bytes(device),
        "memory_mode": loaded.memory.mode,
        "memory_plan": loaded.memory.reason,
        "started_at": started_at,
        "base_load_id": loaded.load_id,
    }
    return Made(latents_on_cpu, pixels, sigmas, loras, environment_of(device, loaded.base.dtype), cost)


def _check_finite(request: Request, latents: torch.Tensor) -> None:
    """A black picture is no picture: NaN comes from an adapter's or an embedding's values, not from the prompt."""
    if not bool(torch.isfinite(latents).all()):
        adapters = ", ".join(f"{lora.path} at {lora.network_multiplier}" for lora in request.active_loras)
        suspects = [name for name in (request.prompt_embeds, adapters) if name] or ["the base model"]
        raise PictureError(
            f"{request.image_name}: denoising ended in NaN or infinity, so there is no picture: look at the values of "
            f"{' and of '.join(suspects)}"
        )


def _merge(loaded: Loaded, request: Request) -> list[LoraUse]:
    adapters = loaded.adapters(request)
    stack = [(adapters[lora.sha256], lora.network_multiplier) for lora in request.active_loras]
    loaded.stack.apply(stack, request.lora_merge or "merged")
    read = {digest: (each.format, each.matched_keys, each.left_out, each.warning) for digest, each in adapters.items()}
    return lora_uses(request, read)


def lora_uses(request: Request, read: Mapping[str, AdapterRead]) -> list[LoraUse]:
    """`read`: what the file with a digest was found to be; a file at multiplier 0 is never opened."""
    return [
        LoraUse(lora.path, lora.sha256, lora.network_multiplier, *read.get(lora.sha256, _NOT_READ))
        for lora in request.loras
    ]


def _embeds(store: Store, request: Request, device: torch.device) -> tuple[_Embeds, _Embeds | None]:
    """Of the prompt, from its own file or the store, and of the negative prompt if it is used."""

    def read(text: str) -> _Embeds:
        return load_file(store.embedding(request.embedding_id(text)), device=str(device))

    own = request.prompt_embeds
    prompt = load_file(own, device=str(device)) if own else read(request.prompt)
    return prompt, read(request.neg) if request.uses_neg else None
