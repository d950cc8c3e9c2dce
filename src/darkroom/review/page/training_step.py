"""The step of its training that a LoRA is of: what file names, options and headers say of it, in this order."""

from pathlib import PurePath

from darkroom.lora_files.training.file_name import read_name, read_option
from darkroom.request.request import Request


def step_of(request: Request) -> int | None:
    """Of the training of its LoRA; None where nothing says one step.

    The names of its files come first, since samples and options are called by these, and some of ai-toolkit's trainers
    count one more in the header; then the option's name; where no name says a step, the headers.
    """
    loras = request.adapters.loras
    named = {each.step for lora in loras if (each := read_name(PurePath(lora.path).name)) and each.step is not None}
    if len(named) == 1:
        return named.pop()
    by_option, said = read_option(request.title.lora).step, {lora.step for lora in loras} - {None}
    return said.pop() if by_option is None and not named and len(said) == 1 else by_option
