"""Alphas in the header of a LoRA file, which anybody may have written."""

import json

import pytest

from darkroom.errors import AdapterError
from darkroom.files.weight_file import Header
from darkroom.lora_files.file import LoraFile
from darkroom.lora_files.scales import read_scales


def file_with(patterns: dict[str, float]) -> LoraFile:
    said = {"transformer.lora_alpha": 16, "transformer.alpha_pattern": patterns}
    return LoraFile("a.safetensors", Header({}, {}, {"lora_adapter_metadata": json.dumps(said)}))


def test_patterns_of_names_are_read() -> None:
    scales = read_scales(file_with({"attn.to_q": 32, r"blocks\.[0-3]\..*": 8}))
    assert [scales.alpha_of(name, 4) for name in ("blocks.9.attn.to_q", "blocks.1.ff", "blocks.5.ff")] == [32, 8, 16]


@pytest.mark.parametrize("pattern", ["(a+)+b", "(a|a)*b", "a*a*a*b", "a{99999999999}", "(" * 150, "[" * 10, "a" * 201])
def test_a_pattern_that_may_take_for_ever_is_refused(pattern: str) -> None:
    with pytest.raises(AdapterError, match=r"a\.safetensors: its header's lora_adapter_metadata: expected the config"):
        read_scales(file_with({pattern: 8}))
