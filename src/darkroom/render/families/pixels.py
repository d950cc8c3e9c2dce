"""A VAE's output as 8-bit pixels, rounded on the device, so that only a quarter of the bytes is copied."""

import torch


def levels(image: torch.Tensor) -> torch.Tensor:
    """(1, 3, height, width) from -1 to 1 → (height, width, 3) uint8, on the same device.

    Rounding by rounding as diffusers' VaeImageProcessor and numpy do on a CPU: scaled to 0 … 1 and clamped in the
    image's dtype, then in float32; halves to even.
    """
    scaled = (image[0] * 0.5).add_(0.5).clamp_(0, 1).float()
    return scaled.mul_(255).round_().to(torch.uint8).permute(1, 2, 0).contiguous()
