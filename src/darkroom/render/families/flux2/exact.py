"""Makes diffusers' FLUX.2 modules round like the trainer's: `numerics: exact`. Knows no weights and no loop.

Each changes the order of roundings only, never the function. Parameter names stay as they are.
Against ai-toolkit's extensions_built_in/diffusion_models/flux2/src/{model,autoencoder}.py.
"""

from typing import Any

import torch
from torch.nn.functional import conv2d, scaled_dot_product_attention


class RotaryFloat32(torch.nn.Module):
    """Rotary tables (tokens, head size) of cosines and sines, computed in float32; diffusers computes in float64."""

    def __init__(self, theta: int, axes: tuple[int, ...]) -> None:
        super().__init__()
        self.theta, self.axes = theta, axes

    def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        angles = [self._angles(ids[:, axis], size) for axis, size in enumerate(self.axes)]
        cosines = [torch.cos(angle).repeat_interleave(2, -1) for angle in angles]
        sines = [torch.sin(angle).repeat_interleave(2, -1) for angle in angles]
        return torch.cat(cosines, -1), torch.cat(sines, -1)

    def _angles(self, positions: torch.Tensor, size: int) -> torch.Tensor:
        exponents = torch.arange(0, size, 2, dtype=torch.int64, device=positions.device) / size
        return positions.float()[:, None] * (1.0 / (self.theta**exponents))[None]


class RoundingRMSNorm(torch.nn.Module):
    """RMSNorm that rounds to the input's dtype before it multiplies by the weight; torch's fused one rounds after."""

    def __init__(self, weight: torch.nn.Parameter, eps: float) -> None:
        super().__init__()
        self.weight, self.eps = weight, eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        wide = x.float()
        inverse = torch.rsqrt(torch.mean(wide**2, dim=-1, keepdim=True) + self.eps)
        return (wide * inverse).to(x.dtype) * self.weight


class Swish(torch.nn.Module):
    """x · sigmoid(x) with two roundings; SiLU has one."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.sigmoid(x)


class ConvolvedAttention:
    """A processor for the VAE's attention: projections as 1x1 convolutions, one head, no rescaling."""

    def __call__(
        self,
        attention: Any,
        hidden_states: torch.Tensor,
        encoder_hidden_states: None = None,
        attention_mask: None = None,
        temb: None = None,
    ) -> torch.Tensor:
        batch, channels, height, width = hidden_states.shape
        normed = attention.group_norm(hidden_states)
        query, key, value = (
            _convolve(linear, normed).permute(0, 2, 3, 1).reshape(batch, 1, height * width, channels).contiguous()
            for linear in (attention.to_q, attention.to_k, attention.to_v)
        )
        attended = scaled_dot_product_attention(query, key, value)
        attended = attended.reshape(batch, height, width, channels).permute(0, 3, 1, 2)
        return hidden_states + _convolve(attention.to_out[0], attended)


def make_transformer_exact(transformer: Any) -> None:
    """Rotary tables in float32, and q/k norms that round first, in place."""
    transformer.pos_embed = RotaryFloat32(transformer.config.rope_theta, tuple(transformer.config.axes_dims_rope))
    for module in list(transformer.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, torch.nn.RMSNorm):
                setattr(module, name, RoundingRMSNorm(child.weight, transformer.config.eps))


def make_vae_exact(vae: Any) -> None:
    """Swish and convolved attention, in place; the encoder too, which reads reference images."""
    for part in (vae.encoder, vae.decoder):
        for module in list(part.modules()):
            for name, child in list(module.named_children()):
                if isinstance(child, torch.nn.SiLU):
                    setattr(module, name, Swish())
        part.mid_block.attentions[0].set_processor(ConvolvedAttention())


def _convolve(linear: torch.nn.Linear, x: torch.Tensor) -> torch.Tensor:
    return conv2d(x, linear.weight[:, :, None, None], linear.bias)
