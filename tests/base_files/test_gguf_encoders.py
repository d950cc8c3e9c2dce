"""Text encoders in .gguf files, told by their headers: whose they are, whether they fit, what they lack."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.base_files.gguf_file import write_encoder, write_gguf
from tests.places import DATA

from darkroom.base_files.gguf.encoders import QWEN3_GGUF, T5_GGUF, GgufKind, check_gguf_encoder
from darkroom.errors import CheckpointError

Tensors = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def qwen3() -> Tensors:
    """Hidden size 32."""
    return load_file(DATA / "parity/klein/qwen3/model.safetensors")


@pytest.fixture(scope="module")
def t5() -> Tensors:
    """Hidden size 48, two blocks."""
    return load_file(DATA / "parity/flux1/flux/text_encoder_2/model.safetensors")


def fault(path: Path, kind: GgufKind | None, features: int | None = None) -> str:
    with pytest.raises(CheckpointError) as caught:
        check_gguf_encoder(path, kind, features)
    return str(caught.value).removeprefix(f"{path}: ")


def test_every_name_of_llama_cpp_is_one_of_transformers(tmp_path: Path, qwen3: Tensors, t5: Tensors) -> None:
    """Their table, by which the files are written, against ours."""
    from darkroom.base_files.gguf.header import read_gguf_header

    for tensors, architecture, kind in ((qwen3, "qwen3", QWEN3_GGUF), (t5, "t5encoder", T5_GGUF), (t5, "t5", T5_GGUF)):
        path = write_encoder(tmp_path / "x.gguf", tensors, architecture)
        names = {kind.transformers_key(tensor.name) for tensor in read_gguf_header(path).tensors}
        assert names == tensors.keys()
        check_gguf_encoder(path, kind, None)


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16", "Q8_0", "Q4_0"])
def test_whole_ones_fit(tmp_path: Path, qwen3: Tensors, kind: str) -> None:
    check_gguf_encoder(write_encoder(tmp_path / "x.gguf", qwen3, "qwen3", kind), QWEN3_GGUF, 96)


def test_the_layers_that_no_embedding_depends_on_may_be_left_out(tmp_path: Path, qwen3: Tensors) -> None:
    shorter = {key: tensor for key, tensor in qwen3.items() if ".27." not in key and key != "model.norm.weight"}
    check_gguf_encoder(write_encoder(tmp_path / "x.gguf", shorter, "qwen3"), QWEN3_GGUF, 96)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.pop("model.layers.5.mlp.up_proj.weight"), "lacks blk.5.ffn_up.weight; is its download complete?"),
        (
            lambda t: [t.pop(key) for key in list(t) if ".20." in key or ".21." in key],
            "lacks blk.20.attn_norm.weight, blk.20.attn_q.weight, blk.20.attn_k.weight, blk.20.attn_v.weight, … (22 in "
            "all); is its download complete?",
        ),
    ],
)
def test_what_is_missing_is_named(
    tmp_path: Path, qwen3: Tensors, change: Callable[[Tensors], object], said: str
) -> None:
    tensors = dict(qwen3)
    change(tensors)
    assert fault(write_encoder(tmp_path / "x.gguf", tensors, "qwen3"), QWEN3_GGUF, 96) == said


def test_another_size(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "x.gguf", {"token_embd.weight": torch.zeros(8, 4096)}, "qwen3", "F16")
    assert fault(path, QWEN3_GGUF, 7680).startswith(
        "this text encoder is for another model: hidden size 4096 (Qwen3-8B); the transformer reads 7680 "
        "features a token, those of hidden size 2560 (Qwen3-4B); lacks blk.0.attn_norm.weight, "
    )


def test_another_of_the_same_size(tmp_path: Path, qwen3: Tensors) -> None:
    """Qwen3-4B-Instruct-2507 has the sizes of Qwen3-4B, and other positions."""
    path = write_encoder(tmp_path / "x.gguf", qwen3, "qwen3", rope__freq_base=5e6)
    assert fault(path, QWEN3_GGUF, 96) == "qwen3.rope.freq_base: expected 1e+06, got 5000000.0: is another Qwen3"


@pytest.mark.parametrize(
    ("architecture", "got"),
    [
        ("llama", "llama"),
        ("qwen3vl", "qwen3vl"),
        ("flux", "flux"),
        ("clip", "the part of a model that sees pictures (mmproj)"),
    ],
)
def test_another_architecture(tmp_path: Path, architecture: str, got: str) -> None:
    path = write_gguf(tmp_path / "x.gguf", {"w": torch.zeros(8, 32)}, architecture)
    assert fault(path, QWEN3_GGUF, 7680) == (
        f"expected a text encoder of architecture qwen3, got {got}; the transformer reads 7680 features a token, those "
        "of hidden size 2560 (Qwen3-4B)"
    )


def test_flux_2_dev_reads_no_qwen3(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "x.gguf", {"token_embd.weight": torch.zeros(8, 5120)}, "qwen3")
    assert fault(path, QWEN3_GGUF, 15360) == (
        "FLUX.2-dev reads Mistral-Small-3.1-24B-Instruct-2503, whose GGUF is not read: name its repository or a single "
        ".safetensors file"
    )


def test_a_umt5_and_a_t5_without_gates(tmp_path: Path, t5: Tensors) -> None:
    bias = "encoder.block.{}.layer.0.SelfAttention.relative_attention_bias.weight"
    path = write_encoder(tmp_path / "x.gguf", t5 | {bias.format(1): t5[bias.format(0)]}, "t5encoder")
    assert fault(path, T5_GGUF, 48) == "is a UMT5, in which every block has a bias of its own"
    older = {re.sub(r"wi_1\.weight", "wi.weight", key): value for key, value in t5.items() if "wi_0" not in key}
    path = write_encoder(tmp_path / "x.gguf", older, "t5")
    assert fault(path, T5_GGUF, 48) == (
        "lacks enc.blk.0.ffn_gate.weight, enc.blk.1.ffn_gate.weight; is its download complete?"
    )


def test_files_that_are_none(tmp_path: Path, qwen3: Tensors) -> None:
    path = write_encoder(tmp_path / "x.gguf", qwen3, "qwen3")
    assert fault(path, None) == (
        "GGUF is read for the transformer, Qwen3 and T5, not for this text encoder; name a folder or a .safetensors "
        "file"
    )
    path.write_bytes(path.read_bytes()[:-1000])
    assert fault(path, QWEN3_GGUF).startswith("truncated or damaged, copy it again")
    path.write_text("version https://git-lfs.github.com/spec/v1\n")
    assert "it is a pointer of git-lfs" in fault(path, QWEN3_GGUF)
