"""The adapter files that an ai-toolkit job left: which step each is of, and whether it can be applied. Reads headers.

Their names: lora_files/trained_name.py. The trainer deletes all but the last few.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from darkroom.display import printable
from darkroom.errors import WeightFileError
from darkroom.files.weight_file import Header, read_header
from darkroom.lora_files.trained_name import read_name

_OLD_PREFIX = "lycoris_"  # of LoKr files, whatever the family
_PREFIXES = {"flux2": "diffusion_model.", "flux": "transformer.", "flex2": "transformer."}
_STEPS = range(10**12)  # what the name of a file can say
_UNFIT = {  # endings of keys, and what a file with them is
    ".magnitude": "is DoRA",
    ".dora_scale": "is DoRA",
    ".lora_magnitude_vector": "is DoRA",
    ".diff_b": "holds a delta with biases",
}


@dataclass(frozen=True)
class TrainedLora:
    """One adapter file. `fault`: why it cannot be applied; `doubt`: why it may not be what its name says."""

    step: int
    path: Path
    modified: int  # ms since 1970
    fault: str | None = None
    doubt: str | None = None


@dataclass(frozen=True)
class Found:
    """Adapter files by step, each step once, and what is to be said of the others."""

    loras: Sequence[TrainedLora]
    notes: tuple[str, ...]


def trained_loras(folder: Path, name: str, steps: int | None, family: str, base_version: str) -> Found:
    """Those of a job `name` that goes on for `steps`; of two for one step the file with the step in its name."""
    steps = steps if steps is not None and steps in _STEPS else None
    found: dict[int, TrainedLora] = {}
    notes = []
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    own = [(path, trained.step) for path in files if (trained := read_name(path.name, name))]
    for path, named in sorted(own, key=lambda each: each[1] is None):
        if not path.is_file():
            notes.append(f"{path}: no file: the job trained a whole model, or something else lies there")
            continue
        lora = _read(path, named, steps, family, base_version)
        if lora is None:
            notes.append(f"{path}: of which step it is, neither its header nor train.steps says")
        elif lora.step == 0:
            notes.append(f"{path}: left out: of step 0, which is the base model")
        elif lora.step in found:
            notes.append(f"{path}: left out: {found[lora.step].path.name} is of the same step {lora.step}")
        else:
            found[lora.step] = lora
    return Found(tuple(found[step] for step in sorted(found)), tuple(notes))


def _read(path: Path, named: int | None, steps: int | None, family: str, base_version: str) -> TrainedLora | None:
    modified = path.stat().st_mtime_ns // 1_000_000
    try:
        header = read_header(path)
    except (WeightFileError, OSError) as error:
        step = named if named is not None else steps
        return None if step is None else TrainedLora(step, path, modified, fault=str(error))
    said = _step_in(header)
    step = named if named is not None else said if said is not None else steps
    if step is None:
        return None
    fault = next(map(printable, _faults(header, family, base_version)), None)
    doubt = f"the checkpoint's header says step {said}" if said not in (None, step) else None
    return TrainedLora(step, path, modified, f"{path.name} {fault}" if fault else None, doubt)


def _step_in(header: Header) -> int | None:
    """training_info of the header, which is JSON: {"step": 500, "epoch": 3}."""
    try:
        step = json.loads(header.metadata.get("training_info", "null"))["step"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return step if type(step) is int and step in _STEPS else None


def _faults(header: Header, family: str, base_version: str) -> Iterator[str]:
    """Why the file cannot be applied to the job's model, in words that follow its name."""
    version = header.metadata.get("ss_base_model_version", base_version)
    if version != base_version:
        yield f"is for another base: its header says {version}, the job's model is {base_version}"
    if not header.shapes:
        yield "holds no tensors"
    for key in header.shapes:
        for ending, what in _UNFIT.items():
            if key.endswith(ending):
                yield f"{what}: {key}"
        if not key.startswith((_PREFIXES[family], _OLD_PREFIX)):
            yield f"holds more than a LoRA of this model: {key}"
        if key.endswith(".lora_A.weight") and key.replace(".lora_A.", ".lora_B.") not in header.shapes:
            yield f"has lora_A without lora_B, as network.type fullrank writes it: {key}"
