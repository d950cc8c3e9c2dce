"""The families by name, and what the module of each holds; a module is imported when its family is asked for."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from darkroom.checkpoint import Checkpoint
from darkroom.errors import ConfigError
from darkroom.request.parts import BaseModel, Encoder, Sampling

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from darkroom.render.device.mode import Footprint, Workload
    from darkroom.render.weights.base import Base, TextEncoder


class Family(Protocol):
    """What a family's module holds: tensors in, tensors out, nothing about jobs, stores or image files."""

    def check(self, checkpoint: Checkpoint, model: BaseModel, prompt_embeds: Collection[str]) -> None:
        """Every problem that headers and configs show, before anything is loaded: Problems or a single error.

        `prompt_embeds`: files that take the place of a prompt.
        """

    def footprints(
        self, checkpoint: Checkpoint, model: BaseModel, pictures: "Collection[Workload]"
    ) -> "Mapping[str | None, Footprint]":
        """What the base model takes in memory, by quantisation, for the largest of `pictures`."""

    def text_footprints(self, text_encoder: "TextEncoder") -> "Mapping[str | None, Footprint]":
        """What a loaded text encoder takes in memory, by quantisation."""

    def load(self, checkpoint: Checkpoint, model: BaseModel, device: "torch.device") -> "Base":
        """Transformer and VAE, in this dtype, quantisation and numerics."""

    def load_text_encoder(self, checkpoint: Checkpoint, encoder: Encoder, device: "torch.device") -> "TextEncoder":
        """All that encodes a text."""

    def encode(self, text_encoder: "TextEncoder", text: str) -> "dict[str, torch.Tensor]":
        """The embedding of one prompt, by tensor name: `prompt_embeds` (1, tokens, features) and what else there is."""

    def tokens_cut(self, text_encoder: "TextEncoder", text: str) -> int:
        """How many tokens of a prompt are beyond the longest that is encoded."""

    def encode_reference(self, base: "Base", sampling: Sampling, image: "Image.Image") -> "dict[str, torch.Tensor]":
        """What the model sees of one reference image, by tensor name: as much as does not depend on the seed."""

    def denoise(
        self,
        base: "Base",
        sampling: Sampling,
        prompt: "Mapping[str, torch.Tensor]",
        neg: "Mapping[str, torch.Tensor] | None",
        references: "Sequence[Mapping[str, torch.Tensor]]",
        on_step: Callable[[int], None],
    ) -> "tuple[torch.Tensor, list[float]]":
        """Final latents (1, C, h, w) and the sigmas used; on_step(0), (1), … after each step.

        `prompt` and `neg` as `encode` makes them, `neg` where classifier-free guidance runs;
        `references` as `encode_reference` makes them, in order.
        """

    def decode(self, base: "Base", latents: "torch.Tensor") -> "torch.Tensor":
        """The picture, (height, width, 3), uint8 on the base's device (families/pixels.py)."""


def _flux2() -> Family:
    from darkroom.render.families.flux2 import flux2

    return flux2


def _flux() -> Family:
    from darkroom.render.families.flux1 import flux

    return flux


def _flex2() -> Family:
    from darkroom.render.families.flux1 import flex2

    return flex2


def _zimage() -> Family:
    from darkroom.render.families.zimage import zimage

    return zimage


MODULES: Mapping[str, Callable[[], Family]] = {"flux2": _flux2, "flux": _flux, "flex2": _flex2, "zimage": _zimage}


def family(name: str) -> Family:
    """The module of a family; ConfigError for a name that is not one."""
    if name not in MODULES:
        raise ConfigError(f"family: expected one of {', '.join(MODULES)}, got {name}")
    return MODULES[name]()
