"""The commands about this machine: memory."""

import argparse

from darkroom.cli import MACHINE, Commands


def add_to(commands: Commands) -> None:
    memory = commands.add(
        MACHINE,
        "memory",
        _memory,
        "Print how much memory each model takes, by memory mode (docs/memory.md).",
        "memory --width 1536 --height 1024",
    )
    memory.add_argument("--width", type=_side, default=1024, help="pixels")
    memory.add_argument("--height", type=_side, default=1024, help="pixels")


def _memory(options: argparse.Namespace) -> None:
    from darkroom.render.memory_table import memory_table

    print(memory_table(options.width, options.height))


def _side(text: str) -> int:
    if not text.isdecimal() or not 64 <= int(text) <= 4096:
        raise argparse.ArgumentTypeError(f"expected 64 to 4096 pixels, got {text}")
    return int(text)
