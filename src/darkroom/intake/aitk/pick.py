"""<job>_pick: the experiment in which a checkpoint and a strength are chosen. Its files are written once, for people.

All checkpoints, those to come too, at some strengths, with the prompts of the job's samples and some seeds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from darkroom.intake.aitk.conf_files import ConfWriter
from darkroom.intake.aitk.previews import BASE, PromptOption
from darkroom.intake.aitk.prompts import DRAWN
from darkroom.intake.aitk.values import LoraValues
from darkroom.plan.conf.owned_files import ConfFile

_STRENGTHS = (0.6, 0.8, 1.0)
_SEEDS = 2  # the job's first, and the next
_FIRST_SEED = 42
_AXES = ("seed", "network_multiplier")  # which the prompts leave to the matrix


def pick_name(job: str) -> str:
    return f"{job}_pick"


def pick_files(writer: ConfWriter, main: PromptOption, trigger_word: str | None, values: LoraValues) -> list[ConfFile]:
    """None where there is no checkpoint yet. Without prompts of the job, its prompts are those that people write."""
    if values.folder is None:
        return []
    pick = replace(writer, name=pick_name(writer.name))
    prompts = pick.name if main.sheet.prompts else writer.name
    matrix = {
        "model": writer.name,
        "lora": [BASE, writer.name],
        "prompts": prompts,
        "network_multiplier": list(_STRENGTHS),
        **({"seed": _seeds(main)} if main.sheet.prompts else {}),
    }
    exclude = [*_once(), *map(_without, values.others)]
    command = f"darkroom run {pick.name}"
    files = [pick.experiment(matrix, exclude, [command, "Written once: no import changes it, or its prompts"])]
    if main.sheet.prompts:
        files.append(pick.prompts(replace(main, name=pick.name), trigger_word, without=_AXES))
    return files


def _without(value: str) -> dict[str, object]:
    return {"lora": value}


def _once() -> Iterator[dict[str, object]]:
    """The base model has no strengths."""
    yield from ({"lora": BASE, "network_multiplier": strength} for strength in _STRENGTHS[:-1])


def _seeds(main: PromptOption) -> Sequence[int]:
    first = main.sheet.prompts[0].settings["seed"]
    start = _FIRST_SEED if first == DRAWN else first
    return [start + number for number in range(_SEEDS)]
