"""The alphas that diffusers and PEFT keep in the header of a LoRA file, as JSON, where other tools have tensors.

    {"transformer.r": 8, "transformer.lora_alpha": 16, "transformer.alpha_pattern": {"attn.to_q": 32}, …}

Without them alpha is the rank, as diffusers takes it.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from darkroom.errors import AdapterError
from darkroom.lora_files.file import LoraFile

_KEY = "lora_adapter_metadata"
_PREFIX = "transformer."


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
        patterns = {str(re.compile(key).pattern): float(alpha) for key, alpha in _dict(config, "alpha_pattern").items()}
        alpha = None if config.get("lora_alpha") is None else float(config["lora_alpha"])
    except (ValueError, TypeError, AttributeError, RecursionError, re.error) as error:
        raise AdapterError(
            f"{lora.path}: its header's {_KEY}: expected the config of a PEFT adapter as JSON, with lora_alpha and "
            f"alpha_pattern; got {lora.header.metadata[_KEY][:80]!r} ({error})"
        ) from error
    if config.get("use_dora"):
        raise AdapterError(f"{lora.path}: is DoRA (use_dora in its header's {_KEY}), which cannot be applied")
    return Scales(alpha, patterns, by_root=bool(config.get("use_rslora")))


def _dict(config: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    return config.get(key) or {}
