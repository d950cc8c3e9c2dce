"""The demo's LoRA and LoKr, byte for byte in ai-toolkit's file formats. Knows nothing of the checkpoint but its sizes.

Formats: module names as in BFL's code, LoRA in PEFT's naming, LoKr dotted with both factors full (ai-toolkit 0.12,
toolkit/network_mixins.py and toolkit/models/lokr.py; metadata as toolkit/metadata.py and BaseSDTrainProcess.py write).
"""

import hashlib
import json
import math
import struct
from collections.abc import Mapping

import torch
from safetensors.torch import save
from torch import Tensor

SEED = 1  # of all the demo's weights; other seeds give other palettes
HIDDEN = 128  # as many as packed latent channels, so that the demo's first and last layer can be the identity
LAYERS = {"double_blocks": 2, "single_blocks": 2}
RANK = 4

# (name, inputs, outputs) of the linear layers that ai-toolkit trains, sizes in multiples of HIDDEN
STREAM_LINEARS = (("attn.proj", 1, 1), ("attn.qkv", 1, 3), ("mlp.0", 1, 6), ("mlp.2", 3, 1))
SINGLE_LINEARS = (("linear1", 1, 9), ("linear2", 4, 1))


def normal(name: str, shape: tuple[int, ...], std: float) -> Tensor:
    """Normal float32 values drawn for SEED and `name` alone, so that no tensor depends on another's size."""
    seed = int.from_bytes(hashlib.sha256(f"{SEED} {name}".encode()).digest()[:7])
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * std


def adapted_linears() -> dict[str, tuple[int, int]]:
    """Inputs and outputs of every linear layer of the blocks, by its key in an adapter file."""
    double = {
        f"double_blocks.{block}.{stream}_{name}": sizes
        for block in range(LAYERS["double_blocks"])
        for stream in ("img", "txt")
        for name, *sizes in STREAM_LINEARS
    }
    single = {
        f"single_blocks.{block}.{name}": sizes
        for block in range(LAYERS["single_blocks"])
        for name, *sizes in SINGLE_LINEARS
    }
    return {
        f"diffusion_model.{module}": (inputs * HIDDEN, outputs * HIDDEN)
        for module, (inputs, outputs) in (double | single).items()
    }


def lora_tensors() -> dict[str, Tensor]:
    """A bfloat16 LoRA of rank RANK on every linear layer of the blocks, its output 0.7 times as strong as theirs."""
    tensors = {}
    for key, (inputs, outputs) in adapted_linears().items():
        down, up = f"{key}.lora_A.weight", f"{key}.lora_B.weight"
        tensors[down] = normal(down, (RANK, inputs), 1 / math.sqrt(inputs)).bfloat16()
        tensors[up] = normal(up, (outputs, RANK), 0.7 / math.sqrt(RANK)).bfloat16()
    return tensors


def lokr_tensors() -> dict[str, Tensor]:
    """A bfloat16 LoKr of full rank on every linear layer of the blocks, its output half as strong as theirs.

    `alpha` holds the trainer's stand-in for "full rank", which has no meaning as a number.
    """
    tensors = {}
    for key, (inputs, outputs) in adapted_linears().items():
        (in_m, in_n), (out_l, out_k) = factors(inputs), factors(outputs)
        tensors[f"{key}.alpha"] = torch.tensor(9999999999.0).bfloat16()
        tensors[f"{key}.lokr_w1"] = normal(f"{key}.lokr_w1", (out_l, in_m), 0.5 / math.sqrt(in_m)).bfloat16()
        tensors[f"{key}.lokr_w2"] = normal(f"{key}.lokr_w2", (out_k, in_n), 1 / math.sqrt(in_n)).bfloat16()
    return tensors


def factors(size: int) -> tuple[int, int]:
    """The pair of whole factors of `size` that is nearest to a square, smaller first: LoKr's factor -1."""
    small = max(divisor for divisor in range(1, math.isqrt(size) + 1) if size % divisor == 0)
    return small, size // small


def adapter_bytes(name: str, tensors: Mapping[str, Tensor]) -> bytes:
    """A .safetensors file of `tensors` with ai-toolkit's metadata, sorted: safetensors itself would shuffle it."""
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
        "training_info": json.dumps({"step": 250, "epoch": 1}),
    }
    header = json.dumps({"__metadata__": metadata, **json.loads(content[8:start])}).encode()
    header += b" " * (-len(header) % 8)  # tensors start at a multiple of 8 bytes
    return struct.pack("<Q", len(header)) + header + content[start:]
