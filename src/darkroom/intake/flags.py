"""The flags that an ai-toolkit prompt may end in: "a cat --w 512 --seed 7". Knows texts only.

The trainer's rule (GenerateImageConfig in its toolkit/config_modules.py): every "--" begins a flag, also one inside a
word; a flag is what comes before the first space, and its value the rest. What it does not know it ignores.
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
_KNOWN: Mapping[str, tuple[str, Callable[[str], Any]]] = {
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

FLAGS = tuple(_KNOWN)  # without the two dashes


def parse_flags(prompt: str) -> Flags:
    """What the trainer makes of a prompt.

    >>> parse_flags("a cat --w 512 --seed 7 --x")
    Flags(text='a cat', settings={'width': 512, 'seed': 7}, ignored=('--x',), fault=None)
    """
    text, *parts = prompt.strip().split("--")
    settings: dict[str, Any] = {}
    ignored = []
    for part in parts:
        flag = part.partition(" ")[0].strip()
        value = part[len(flag) :].strip()
        if flag not in _KNOWN:
            ignored.append(f"--{flag}")
            continue
        setting, make = _KNOWN[flag]
        try:
            made = make(value)
        except ValueError:
            kind = "a whole number" if make is int else "a number"
            return Flags(text.strip(), settings, tuple(ignored), f"--{flag}: expected {kind}, got {value!r}")
        if setting:
            settings[setting] = made
    return Flags(text.strip(), settings, tuple(ignored))
