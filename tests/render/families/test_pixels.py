"""From what a VAE gives to the levels of a picture: bit for bit what diffusers and numpy make of it on a CPU."""

import numpy as np
import pytest
import torch
from diffusers.image_processor import VaeImageProcessor

from darkroom.render.families.pixels import levels


def theirs(image):
    pixels = VaeImageProcessor().postprocess(image, output_type="np")[0]
    return (pixels * 255).round().astype("uint8")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("spread", [0.3, 1.0, 4.0])
def test_levels_are_those_of_diffusers_and_numpy(dtype, spread):
    image = (torch.randn(1, 3, 96, 160, generator=torch.Generator().manual_seed(7)) * spread).to(dtype)
    assert levels(image).shape == (96, 160, 3)
    assert np.array_equal(levels(image).numpy(), theirs(image))
    assert np.array_equal(levels(image.float()).numpy(), theirs(image.float()))


def test_levels_of_every_finite_bfloat16():
    values = torch.arange(-(2**15), 2**15).to(torch.int16).view(torch.bfloat16)
    image = torch.where(values.isfinite(), values, 0).reshape(1, 1, 256, 256).expand(1, 3, 256, 256)
    assert np.array_equal(levels(image).numpy(), theirs(image))


def test_what_a_vae_gave_stays_as_it_is():
    image = torch.full((1, 3, 8, 8), 0.5)
    levels(image)
    assert torch.equal(image, torch.full((1, 3, 8, 8), 0.5))
