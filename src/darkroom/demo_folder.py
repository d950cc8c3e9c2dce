"""Where the demo's tiny checkpoint and LoRAs lie, and their names. Knows not what is in them, nor how they are made."""

import os
from pathlib import PurePath

DEMO_FOLDER = "results/store/demo"  # relative to the working directory; filled by the rule `demo`

DEMO_CHECKPOINT_FILES = (
    "klein/model_index.json",
    "klein/scheduler/scheduler_config.json",
    "klein/text_encoder/config.json",
    "klein/text_encoder/generation_config.json",
    "klein/text_encoder/model.safetensors",
    "klein/tokenizer/chat_template.jinja",
    "klein/tokenizer/tokenizer.json",
    "klein/tokenizer/tokenizer_config.json",
    "klein/transformer/config.json",
    "klein/transformer/diffusion_pytorch_model.safetensors",
    "klein/vae/config.json",
    "klein/vae/diffusion_pytorch_model.safetensors",
)
DEMO_FILES = ("demo_lokr.safetensors", "demo_lora.safetensors", *DEMO_CHECKPOINT_FILES)


def is_in_demo_folder(path: str) -> bool:
    """True for a file that the workflow makes itself, so that it need not be there yet."""
    return PurePath(os.path.normpath(path)).is_relative_to(DEMO_FOLDER)
