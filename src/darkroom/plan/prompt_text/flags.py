"""The flags that a prompt may end in, "a cat --w 512 --seed 7", and which setting of conf/ each is.

ai-toolkit's: GenerateImageConfig in its toolkit/config_modules.py; those of kohya's sd-scripts and musubi-tuner:
`line_to_prompt_dict` of both; those of AUTOMATIC1111's webui: scripts/prompts_from_file.py.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Flags:
    """A prompt without its flags, and what they set, by the names of conf/."""

    text: str
    settings: Mapping[str, Any]
    ignored: tuple[str, ...]  # flags that the trainer does not know
    fault: str | None = None  # why the trainer would have failed


def _numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


# flag → (setting, what its value is made with); "" where it has no effect on the pictures of these models
Table = Mapping[str, tuple[str, Callable[[str], Any]]]

AITK: Table = {
    "n": ("neg", str),
    "w": ("width", int),
    "h": ("height", int),
    "d": ("seed", int),
    "seed": ("seed", int),
    "l": ("guidance_scale", float),
    "cfg": ("guidance_scale", float),
    "s": ("sample_steps", int),
    "steps": ("sample_steps", int),
    "m": ("network_multiplier", float),
    "network_multiplier": ("network_multiplier", float),
    "ctrl_img": ("ctrl_img", str),
    "ctrl_idx": ("ctrl_idx", int),
    "p2": ("", str),
    "n2": ("", str),
    "gr": ("", float),
    "a": ("", float),
    "ref": ("", float),
    "ev": ("", _numbers),
    "extra_values": ("", _numbers),
    "frames": ("", int),
    "num_frames": ("", int),
    "fps": ("", int),
}
_KOHYA: Table = {  # besides w, h, d, s, l and n, which mean the same
    "g": ("guidance_scale", float),  # embedded guidance, beside --l, which is classifier-free
    "am": ("network_multiplier", float),
    "ci": ("ctrl_img", str),
    **dict.fromkeys(("ss", "cn", "ctr", "f", "fs", "i", "ei", "cv", "of"), ("", str)),
}
_WEBUI: Table = {
    "prompt": ("prompt", str),
    "negative_prompt": ("neg", str),
    "cfg_scale": ("guidance_scale", float),
    "width": ("width", int),
    "height": ("height", int),
    **dict.fromkeys(
        ("sampler_name", "sampler_index", "scheduler", "sd_model", "styles", "prompt_for_display"), ("", str)
    ),
    **dict.fromkeys(("batch_size", "n_iter", "restore_faces", "tiling", "subseed", "subseed_strength"), ("", str)),
    **dict.fromkeys(("seed_resize_from_h", "seed_resize_from_w", "outpath_samples", "outpath_grids"), ("", str)),
    **dict.fromkeys(("do_not_save_samples", "do_not_save_grid"), ("", str)),
}
_OWN: Table = {  # keys of conf/ as they are
    "neg": ("neg", str),
    "trigger_word": ("trigger_word", str),
    "aspect_ratio": ("aspect_ratio", str),
    "guidance_scale": ("guidance_scale", float),
    "sample_steps": ("sample_steps", int),
    **{f"ctrl_img_{number}": (f"ctrl_img_{number}", str) for number in (1, 2, 3)},
}
EVERYONES: Table = {**_WEBUI, **_KOHYA, **_OWN, **AITK}


def parse_flags(prompt: str) -> Flags:
    """What ai-toolkit makes of a prompt, by its own rule: every "--" begins a flag, also one inside a word.

    A flag is what comes before the first space, its value the rest; one that the trainer does not know it ignores.

    >>> parse_flags("a cat --w 512 --seed 7 --x")
    Flags(text='a cat', settings={'width': 512, 'seed': 7}, ignored=('--x',), fault=None)
    """
    text, *parts = prompt.strip().split("--")
    settings: dict[str, Any] = {}
    ignored = []
    for part in parts:
        flag = part.partition(" ")[0].strip()
        value = part[len(flag) :].strip()
        if flag not in AITK:
            ignored.append(f"--{flag}")
            continue
        setting, make = AITK[flag]
        try:
            made = make(value)
        except ValueError:
            return Flags(text.strip(), settings, tuple(ignored), f"--{flag}: {not_made(make, value)}")
        if setting:
            settings[setting] = made
    return Flags(text.strip(), settings, tuple(ignored))


def not_made(make: Callable[[str], Any], value: str) -> str:
    """What was expected where `make` raised ValueError."""
    return f"expected {'a whole number' if make is int else 'a number'}, got {value!r}"
