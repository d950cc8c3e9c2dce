"""Writes the trained weights in bfloat16, in the folder layout of klein's repository. Trains nothing."""

from pathlib import Path

import torch
from diffusers import (
    AutoencoderKLFlux2,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
)
from transformers import Qwen2Tokenizer, Qwen3ForCausalLM

from demo_training.drawing import picture
from demo_training.models import Model
from demo_training.scenes import Scene

_REFERENCE = Scene("heart", "red", "white", "big", "centre", 1, seats=((32.0, 32.0, 20.5),), tints=(0.0,) * 6)


def export(folder: Path, vae: AutoencoderKLFlux2, model: Model, tokenizer: Qwen2Tokenizer) -> None:
    """`folder`: takes model_index.json and a folder for each component. The models are rounded in place."""
    with torch.random.fork_rng(devices=[]):
        language_model = Qwen3ForCausalLM(model.text.config)
    language_model.model.load_state_dict(model.text.state_dict())
    language_model.tie_weights()
    pipeline = Flux2KleinPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
        text_encoder=language_model.bfloat16(),
        tokenizer=tokenizer,
        transformer=model.transformer.bfloat16().cpu(),
        vae=vae.bfloat16().cpu(),
    )
    pipeline.save_pretrained(folder)


def export_reference(path: Path) -> None:
    """The picture that the demo's edits start from."""
    picture(_REFERENCE).save(path)
