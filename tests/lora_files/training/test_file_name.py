"""Of which run and which step a LoRA file is, by its name."""

import pytest

from darkroom.lora_files.training.file_name import read_name, read_option


@pytest.mark.parametrize(
    ("file", "run", "step"),
    [
        ("my_lora_000000250.safetensors", "my_lora", 250),
        ("my_lora.safetensors", "my_lora", None),
        ("my_lora_1500.safetensors", "my_lora_1500", None),  # ai-toolkit writes nine digits
        ("my_lora_1000000000.safetensors", "my_lora", 1_000_000_000),
        ("my_lora_LoRA_000000250.safetensors", "my_lora_LoRA", 250),
    ],
)
def test_a_name_says_run_and_step(file: str, run: str, step: int | None) -> None:
    assert read_name(file) == (run, step)


def test_what_is_no_safetensors_file_is_of_no_run() -> None:
    assert (read_name("my_lora.txt"), read_name("my_lora_000000250.safetensors.bak")) == (None, None)


def test_the_name_of_a_run_may_end_in_digits() -> None:
    assert read_name("my_000000250.safetensors", "my_000000250") == ("my_000000250", None)
    assert read_name("my_000000250_000000500.safetensors", "my_000000250") == ("my_000000250", 500)


def test_a_run_has_its_own_files_and_those_with_lora_after_its_name() -> None:
    files = ("a_LoRA_000000250.safetensors", "a.safetensors", "ab.safetensors", "a_b_000000250.safetensors")
    assert [file for file in files if read_name(file, "a")] == [*files[:2]]


def test_an_option_is_called_as_its_file_is() -> None:
    assert read_option("my_lora_000000500") == ("my_lora", 500)
    assert read_option("my_lora") == ("my_lora", None)
