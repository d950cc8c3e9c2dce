"""The alphas that diffusers keeps in the header of a LoRA file, as JSON, where other tools have tensors.

    {"transformer.r": 8, "transformer.lora_alpha": 16, "transformer.alpha_pattern": {"attn.to_q": 32}, …}

Without them alpha is the rank, as diffusers takes it. PEFT keeps them in an adapter_config.json beside the file, which
is no part of it: a file that needs them from there is refused.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from darkroom.errors import AdapterError
from darkroom.files.json_text import parse_json
from darkroom.lora_files.file import LoraFile

_KEY = "lora_adapter_metadata"
_PREFIX = "transformer."
_BESIDE = "adapter_config.json"
_MOST_BYTES = 1 << 20  # of the config; one with a thousand patterns has 100 kB
_LONGEST, _MOST_REPEATS = 200, 2  # of a pattern
_REPEATS = re.compile(r"[*+?]")
_HARMLESS = re.compile(r"(?:(?:[\w.^$|(-]|\\[.dw]|\[(?:\w|\w-\w)+\])[*+?]?|\))*")
_DEFAULT = 8  # PEFT's, of r and of alpha


@dataclass(frozen=True)
class Scales:
    """`patterns`: alpha by regular expressions of which one matches the end of a module's name (PEFT's config.py)."""

    alpha: float | None = None
    patterns: Mapping[str, float] | None = None
    by_root: bool = False  # rsLoRA: the delta is scaled by alpha / sqrt(rank)

    def alpha_of(self, module: str, rank: int) -> float | None:
        """What divided by the rank is the scale of a module's delta; None where the header has none."""
        own = (alpha for pattern, alpha in (self.patterns or {}).items() if re.match(rf"(.*\.)?({pattern})$", module))
        alpha = next(own, self.alpha)
        return alpha * math.sqrt(rank) if alpha is not None and self.by_root else alpha


def read_scales(lora: LoraFile) -> Scales:
    """AdapterError for a header that cannot be read so."""
    if _KEY not in lora.header.metadata:
        return Scales()
    try:
        said: dict[str, Any] = json.loads(lora.header.metadata[_KEY])
        config = {key.removeprefix(_PREFIX): value for key, value in said.items()}
        patterns = {_pattern(key): float(alpha) for key, alpha in _dict(config, "alpha_pattern").items()}
        alpha = None if config.get("lora_alpha") is None else float(config["lora_alpha"])
    except (ValueError, TypeError, AttributeError, RecursionError, OverflowError, re.error) as error:
        raise AdapterError(
            f"{lora.path}: its header's {_KEY}: expected the config of a PEFT adapter as JSON, with lora_alpha and "
            f"alpha_pattern; got {lora.header.metadata[_KEY][:80]!r} ({error})"
        ) from error
    if config.get("use_dora"):
        raise AdapterError(f"{lora.path}: is DoRA (use_dora in its header's {_KEY}), which cannot be applied")
    return Scales(alpha, patterns, by_root=bool(config.get("use_rslora")))


def _pattern(written: str) -> str:
    """ValueError for a regular expression that can take longer than anybody lives, as (a+)+ does."""
    if len(written) > _LONGEST or not _HARMLESS.fullmatch(written) or len(_REPEATS.findall(written)) > _MOST_REPEATS:
        most = f"at most {_MOST_REPEATS} of * + ?, none behind a bracket, and {_LONGEST} characters in all"
        raise ValueError(f"{written[:80]!r}: a name of layers may have {most}")
    return str(re.compile(written).pattern)


def _dict(config: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    return config.get(key) or {}


def refuse_scales_beside(path: Path) -> None:
    """AdapterError if the config that PEFT saves beside a file scales its deltas by anything but 1.

    For a file that says nothing of its alphas itself. LoKr's alpha is `alpha` there.
    """
    beside = path.with_name(_BESIDE)
    if not beside.is_file():
        return
    config = _read_config(beside)
    name = "alpha" if "alpha" in config else "lora_alpha"
    rank, alpha = config.get("r", _DEFAULT), config.get(name, _DEFAULT)
    said = [key for key in ("use_dora", "use_rslora", "rank_pattern", "alpha_pattern") if config.get(key)]
    if alpha == rank and not said:
        return
    scales = " and ".join([f"r {rank!r:.40}, {name} {alpha!r:.40}", *said])
    way_out = "" if said else f", or multiply its network_multiplier by {name} / r and rename {_BESIDE}"
    raise AdapterError(
        f"{path}: {beside} has {scales}, which is not in the .safetensors, so its strength would be another; "
        f"save it with its {_KEY} in the header, as diffusers' save_lora_weights does{way_out}"
    )


def _read_config(path: Path) -> Mapping[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise ValueError(f"more than {_MOST_BYTES} bytes")
        config = parse_json(content.decode())
        if not isinstance(config, dict):
            raise ValueError(f"got {type(config).__name__}")
    except (ValueError, OSError) as error:
        raise AdapterError(
            f"{path}: expected the config that PEFT saves beside a LoRA, as a JSON object ({error}); save it again, or "
            "rename it if it is of nothing here"
        ) from error
    return config
