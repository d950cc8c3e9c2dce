"""What stands before all keys of a base model's file, and what only looks like it."""

import pytest

from darkroom.base_files.key_prefix import shared_prefix


@pytest.mark.parametrize(
    ("keys", "prefix"),
    [
        (["img_in.weight", "txt_in.weight"], ""),
        (["transformer.img_in.weight", "transformer.txt_in.weight"], "transformer."),
        (["model.diffusion_model.img_in.weight", "model.diffusion_model.txt_in.weight"], "model.diffusion_model."),
        (["module.transformer.a", "module.transformer.b"], "module.transformer."),
        (["transformer.img_in.weight", "txt_in.weight"], ""),
        (["transformer_blocks.0.attn.to_q.weight"], ""),
        (["vae.encoder.conv_in.weight", "vae.decoder.conv_in.weight"], "vae."),
        (["model.diffusion_model.img_in.weight"] * 11 + ["model_ema.decay"], "model.diffusion_model."),
        (["model."], ""),
        ([], ""),
    ],
)
def test_a_prefix_is_before_all_keys_but_a_stray_few(keys: list[str], prefix: str) -> None:
    assert shared_prefix(keys) == prefix
