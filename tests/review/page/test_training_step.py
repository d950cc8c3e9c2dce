"""The step of a LoRA's training, by all that says it."""

from tests.examples.record import REQUEST

from darkroom.request.parts import Lora
from darkroom.review.page.training_step import step_of


def test_the_step_of_a_lora_is_what_names_say_or_else_headers():
    def step(option: str, *files: tuple[str, int | None]) -> int | None:
        loras = (Lora(f"output/{name}.safetensors", 1.0, step=header) for name, header in files)
        return step_of(REQUEST.changed(lora=option, loras=tuple(loras)))

    assert step("anything", ("my_lora_000000250", 251), ("style", 3000)) == 250  # names come before headers
    assert step("my_lora_000000500", ("my_lora", 501)) == 500
    assert step("mine", ("my_lora", 501)) == step("mine", ("my_lora", 501), ("style", None)) == 501
    assert step("mine", ("my_lora", 500), ("style", 3000)) is None
    assert step("two", ("my_lora_000000250", 250), ("my_lora_000000500", 500)) is None
    assert step("none") is None
