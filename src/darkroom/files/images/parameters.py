"""A picture's record in the words of AUTOMATIC1111's web UI, which galleries and prompt readers understand."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

import numpy as np

_AUTOV2 = 10  # hex digits


def parameters_text(record: Mapping[str, Any]) -> str:
    """The record in the words of AUTOMATIC1111's `parameters`: prompt, negative prompt, one line of settings.

    It goes where the picture goes, and sites print it: files by their names, never by their paths. LoRAs at strength 0
    are not in the picture. `Hashes` is last and plain JSON, as Civitai reads it: AutoV2, the first digits of a file's
    SHA-256.
    """
    loras = _loras_by_name(record["loras"])
    lora_hashes = {name: lora["sha256"][:_AUTOV2] for name, lora in loras.items()}
    transformer = (record.get("transformer_sha256") or "")[:_AUTOV2]
    settings = {
        "Steps": record["sample_steps"],
        "Sampler": "Euler",
        "Schedule type": record["schedule"],
        "CFG scale": record["guidance_scale"],
        "Seed": record["seed"],
        "Size": f"{record['width']}x{record['height']}",
        **({"Model hash": transformer} if transformer else {}),
        "Model": _model_name(record),
        **({"Lora hashes": ", ".join(f"{name}: {digits}" for name, digits in lora_hashes.items())} if loras else {}),
        "Version": f"darkroom {record['darkroom_version']}",
    }
    used = [f"<lora:{name}:{_decimal(lora['network_multiplier'])}>" for name, lora in loras.items()]
    lines = [" ".join([record["prompt"], *used])]
    if record["neg"]:
        lines.append(f"Negative prompt: {record['neg']}")
    line = ", ".join(f"{key}: {_quoted(str(value))}" for key, value in settings.items())
    hashes = {"model": transformer} if transformer else {}
    hashes |= {f"lora:{name}": digits for name, digits in lora_hashes.items()}
    lines.append(f"{line}, Hashes: {json.dumps(hashes, ensure_ascii=False)}" if hashes else line)
    return "\n".join(lines)


def _loras_by_name(loras: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Those that change a weight, each by a name of its own: trainers call all their files the same."""
    found: dict[str, Mapping[str, Any]] = {}
    for lora in loras:
        if lora["network_multiplier"] != 0:
            name = plain = _plain(PurePath(lora["path"]).stem)
            number = 1
            while name in found:
                name = f"{plain}_{(number := number + 1)}"
            found[name] = lora
    return found


def _plain(name: str) -> str:
    """As `<lora:name:0.75>` can hold it, and readers that know no quotes."""
    return re.sub(r'[<>:,{}"\\\n]', "_", name)


def _decimal(number: float) -> str:
    """Without an exponent, which no reader takes for a strength: 1, 0.75, 0.00001."""
    return np.format_float_positional(number, trim="-")


def _model_name(record: Mapping[str, Any]) -> str:
    """A repository of the hub by its id, whose commit is known; a folder or file here without those it lies in."""
    checkpoint = str(record["checkpoint"])
    if record["checkpoint_revision"]:
        return checkpoint
    name = re.sub(r"\.(safetensors|sft|gguf)$", "", PurePath(checkpoint).name)
    return _plain(name) or str(record["model"])


def _quoted(value: str) -> str:
    """A1111's rule: JSON quotes around whatever its reader would split."""
    return json.dumps(value, ensure_ascii=False) if re.search(r"[,:\n]", value) else value
