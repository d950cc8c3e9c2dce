"""The names of a training run's LoRA files: of which run, and of which step. Opens no file.

my_lora_000000250.safetensors, my_lora_000000500.safetensors, …, my_lora.safetensors: the last, without its step.
ai-toolkit writes nine digits, or as many as the step has, and `_LoRA` after the name where the job trained something
else as well.
"""

import re
from typing import NamedTuple


class TrainedName(NamedTuple):
    """`step`: None in the last file's name, which does not say it."""

    run: str
    step: int | None


def read_name(file: str, run: str | None = None) -> TrainedName | None:
    """What the name of a file says; None for a file that is no LoRA, or not of the run `run` if that is given."""
    name = rf"{re.escape(run)}(?:_LoRA)?" if run else ".+?"
    found = re.fullmatch(rf"(?P<run>{name})(?:_(?P<step>[0-9]{{9,12}}))?\.(?:safetensors|sft)", file)
    return TrainedName(found["run"], int(found["step"]) if found["step"] else None) if found else None


def read_option(name: str) -> TrainedName:
    """The same of an option of conf/lora/, as a folder of checkpoints names them: my_lora_000000250."""
    return read_name(f"{name}.safetensors") or TrainedName(name, None)
