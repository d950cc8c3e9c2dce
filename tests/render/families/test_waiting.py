"""Nothing waits for a device while it is given a picture: shown on the meta device, from which nothing can be read."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from tests.render.conftest import REQUEST
from tests.render.goldens import flux1_checkpoint, zimage_checkpoint
from torch.utils._python_dispatch import TorchDispatchMode

from darkroom.checkpoint import Checkpoint
from darkroom.render.families.flux1 import flex2, flux
from darkroom.render.families.flux2 import flux2
from darkroom.render.families.zimage import zimage
from darkroom.render.family import Family
from darkroom.request.request import Request

META = torch.device("meta")
_COPIES = {
    torch.ops.aten._to_copy.default: lambda result, tensor: (tensor, result),
    torch.ops.aten.copy_.default: lambda result, target, source, *_: (source, target),
}


class Copies(TorchDispatchMode):
    """Notes what goes to a device while the host waits: a GPU then does all that it was given before."""

    def __init__(self) -> None:
        super().__init__()
        self.waited_for: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in _COPIES:
            source, target = _COPIES[func](result, *args)
            is_blocking = not ((kwargs or {}).get("non_blocking") or True in args[2:])
            if source.device != target.device and is_blocking:
                self.waited_for.append(f"{tuple(source.shape)} of {source.dtype}")
        return result


@pytest.mark.parametrize("numerics", ["exact", "fast"])
def test_flux2_waits_for_nothing(klein: Checkpoint, numerics: str) -> None:
    seen = {"latents": torch.empty(1, 128, 4, 6, dtype=torch.bfloat16, device=META)}
    _check(flux2, klein, REQUEST.changed(dtype="bfloat16", numerics=numerics), [seen, seen])


@pytest.mark.parametrize(("name", "kind"), [("flux", flux), ("flex2", flex2)])
def test_flux1_waits_for_nothing(name: str, kind: Family) -> None:
    request = REQUEST.changed(family=name, guidance="embedded", dtype="bfloat16", guidance_scale=1.0)
    _check(kind, flux1_checkpoint(name), request)


def test_zimage_waits_for_nothing() -> None:
    request = REQUEST.changed(family="zimage", dtype="bfloat16", text_encoder_cast=True)
    _check(zimage, zimage_checkpoint("zimage"), request)


def test_what_waits_is_seen() -> None:
    with Copies() as copies:
        torch.ones(3).to(META)
        torch.empty(2, device=META).copy_(torch.ones(2))
        torch.ones(4).to(META, non_blocking=True)
    assert copies.waited_for == ["(3,) of torch.float32", "(2,) of torch.float32"]
    with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        torch.empty(1, device=META).item()


def _check(
    kind: Family, checkpoint: Checkpoint, request: Request, seen: Sequence[Mapping[str, torch.Tensor]] = ()
) -> None:
    base = replace(kind.load(checkpoint, request.base, torch.device("cpu")), device=META)
    base.transformer.to(META), base.vae.to(META)
    text = {
        name: torch.empty(*((1, 512) if name == "prompt_embeds" else (1,)), features, device=META)
        for name, features in base.text_features.items()
    }
    neg = text if request.uses_neg else None
    for copies in (Copies(), Copies()):  # the first picture may bring tables that are kept, as Z-Image's rotations
        with copies:
            latents, _ = kind.denoise(base, request.sampling, text, neg, seen, on_step=lambda step: None)
            pixels = kind.decode(base, latents)
    assert (pixels.device, pixels.dtype, pixels.shape) == (META, torch.uint8, (64, 64, 3))
    assert copies.waited_for == []
