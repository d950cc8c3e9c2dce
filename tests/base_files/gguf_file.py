"""Writes .gguf files of text encoders as llama.cpp does: its own table of names; in full what fills no block."""

from collections.abc import Mapping
from pathlib import Path

import gguf
import torch

ARCHITECTURES = {"qwen3": gguf.MODEL_ARCH.QWEN3, "t5encoder": gguf.MODEL_ARCH.T5ENCODER, "t5": gguf.MODEL_ARCH.T5}
METADATA = {
    "qwen3": {"rope.freq_base": 1e6, "attention.layer_norm_rms_epsilon": 1e-6},
    "t5encoder": {"attention.layer_norm_rms_epsilon": 1e-6},
    "t5": {"attention.layer_norm_rms_epsilon": 1e-6},
}


def write_encoder(
    path: Path,
    tensors: Mapping[str, torch.Tensor],
    architecture: str,
    kind: str = "BF16",
    **metadata: float,
) -> Path:
    """`tensors` by transformers' names. `metadata`: below the architecture's name, `__` for a dot."""
    names = gguf.get_tensor_name_map(ARCHITECTURES[architecture], 64)
    renamed = {}
    for key, tensor in tensors.items():
        name = names.get_name(key, try_suffixes=(".weight",))
        assert name, key
        renamed[name] = tensor
    said = METADATA[architecture] | {key.replace("__", "."): value for key, value in metadata.items()}
    return write_gguf(path, renamed, architecture, kind, **said)


def write_gguf(
    path: Path, tensors: Mapping[str, torch.Tensor], architecture: str, kind: str = "BF16", **metadata: float
) -> Path:
    """A file of these tensors, by llama.cpp's names: matrices in `kind`, or in F16 where its blocks do not fit."""
    writer = gguf.GGUFWriter(path, architecture)
    for key, value in metadata.items():
        writer.add_float32(f"{architecture}.{key}", value)
    for name, tensor in tensors.items():
        fits = tensor.shape[-1] % gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]][0] == 0
        quantisation = gguf.GGMLQuantizationType["F32" if tensor.ndim == 1 else kind if fits else "F16"]
        data = gguf.quants.quantize(tensor.float().numpy(), quantisation)
        writer.add_tensor(name, data, raw_dtype=quantisation)
    for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file, writer.close):
        step()
    return path
