"""Which module renders which family. Knows the families' names and their shape; loads one when it is asked for."""

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast

from darkroom.checkpoint import Checkpoint
from darkroom.errors import ConfigError
from darkroom.request import Request

if TYPE_CHECKING:
    import numpy as np
    import torch

    from darkroom.render.base_model import Base, TextEncoder

_MODULES = {"flux2": "darkroom.render.families.flux2"}


class Family(Protocol):
    """What a family's module holds: tensors in, tensors out, nothing about jobs, stores or image files."""

    def load(self, checkpoint: Checkpoint, request: Request, device: "torch.device") -> "Base":
        """Transformer and VAE, in the request's dtype and numerics."""

    def load_text_encoder(self, checkpoint: Checkpoint, request: Request, device: "torch.device") -> "TextEncoder":
        """Text encoder and tokenizer."""

    def encode(self, text_encoder: "TextEncoder", text: str) -> "torch.Tensor":
        """The embedding of one prompt, (1, tokens, features)."""

    def tokens_cut(self, text_encoder: "TextEncoder", text: str) -> int:
        """How many tokens of a prompt are beyond the longest that is encoded."""

    def denoise(
        self,
        base: "Base",
        request: Request,
        prompt_embeds: "torch.Tensor",
        neg_embeds: "torch.Tensor | None",
        on_step: Callable[[int], None],
    ) -> "tuple[torch.Tensor, list[float]]":
        """Final latents (1, C, h, w) and the sigmas used; on_step(0), (1), … after each step."""

    def decode(self, base: "Base", latents: "torch.Tensor") -> "np.ndarray[Any, np.dtype[np.uint8]]":
        """The picture, (height, width, 3)."""


def family(name: str) -> Family:
    """The module of a family; ConfigError for a name that is not one."""
    if name not in _MODULES:
        raise ConfigError(f"family: expected one of {', '.join(_MODULES)}, got {name}")
    return cast(Family, import_module(_MODULES[name]))
