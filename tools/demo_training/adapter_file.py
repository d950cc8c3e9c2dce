"""Adapters byte for byte in ai-toolkit's file formats. Knows nothing of how they were trained.

Formats: module names as in BFL's code, LoRA in PEFT's naming, LoKr dotted with both factors full (ai-toolkit 0.12,
toolkit/network_mixins.py and toolkit/models/lokr.py; metadata as toolkit/metadata.py and BaseSDTrainProcess.py write).
"""

import hashlib
import json
import math
import struct
from collections.abc import Mapping

from safetensors.torch import save
from torch import Tensor


def factors(size: int) -> tuple[int, int]:
    """The pair of whole factors of `size` that is nearest to a square, smaller first: LoKr's factor -1."""
    small = max(divisor for divisor in range(1, math.isqrt(size) + 1) if size % divisor == 0)
    return small, size // small


def adapter_bytes(name: str, tensors: Mapping[str, Tensor], steps: int) -> bytes:
    """A .safetensors file of `tensors`, trained for `steps`, with ai-toolkit's metadata.

    Sorted: safetensors itself would shuffle the metadata.
    """
    content = save(dict(tensors))
    start = 8 + struct.unpack("<Q", content[:8])[0]
    metadata = {
        "format": "pt",
        "software": json.dumps({"name": "ai-toolkit", "repo": "https://github.com/ostris/ai-toolkit"}),
        "ss_base_model_version": "flux2_klein_4b",
        "ss_output_name": name,
        "ss_tag_frequency": json.dumps({"1_sks": {"sks": 1}}),
        "sshs_legacy_hash": hashlib.sha256(content[0x100000:0x110000]).hexdigest()[:8],
        "sshs_model_hash": hashlib.sha256(content[start:]).hexdigest(),
        "training_info": json.dumps({"step": steps, "epoch": 1}),
    }
    header = json.dumps({"__metadata__": metadata, **json.loads(content[8:start])}).encode()
    header += b" " * (-len(header) % 8)  # tensors start at a multiple of 8 bytes
    return struct.pack("<Q", len(header)) + header + content[start:]
