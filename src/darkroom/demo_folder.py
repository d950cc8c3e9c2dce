"""Where the demo's checkpoint, LoRAs and reference image lie, and their names. Knows nothing of what is in them."""

import os
from pathlib import Path, PurePath

from darkroom.errors import StoreError
from darkroom.files.atomic import atomic

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
DEMO_FILES = ("demo_lokr.safetensors", "demo_lora.safetensors", "reference.png", *DEMO_CHECKPOINT_FILES)


def is_in_demo_folder(path: str) -> bool:
    """True for a file that the workflow copies itself, so that it need not be there yet."""
    return PurePath(os.path.normpath(path)).is_relative_to(DEMO_FOLDER)


def copy_demo(source: Path, folder: Path) -> None:
    """Copy the DEMO_FILES of `source` into `folder`, over an earlier demo; other files stay. StoreError."""
    for name in DEMO_FILES:
        try:
            content = (source / name).read_bytes()
        except OSError as error:
            raise StoreError(
                f"{source / name}: {error.strerror}; `git checkout demo` in Darkroom's folder restores it"
            ) from error
        with atomic(folder / name) as partial:
            partial.write_bytes(content)
