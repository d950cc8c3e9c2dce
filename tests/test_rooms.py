"""The walls of the house: which room imports what."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import darkroom

PACKAGE = Path(darkroom.__file__).parent
ROOMS = ("plan", "render", "review")


def imported(file: Path) -> set[str]:
    """Dotted names of every module or member that a file imports, wherever in the file."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def modules(room: str) -> list[str]:
    files = (PACKAGE / room).rglob("*.py")
    return sorted(".".join(("darkroom", *file.relative_to(PACKAGE).with_suffix("").parts)) for file in files)


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_do_not_import_each_other(room):
    others = tuple(f"darkroom.{other}" for other in ROOMS if other != room)
    strays = {
        f"{file.name}: {name}"
        for file in (PACKAGE / room).rglob("*.py")
        for name in imported(file)
        if name.startswith(others)
    }
    assert strays == set()


@pytest.mark.parametrize("room", ["plan", "review"])
def test_a_room_leaves_torch_out(room):
    statement = f"import sys, {', '.join(modules(room))}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", statement], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_only_compose_imports_hydra():
    importers = {
        str(file.relative_to(PACKAGE))
        for file in PACKAGE.rglob("*.py")
        for name in imported(file)
        if name.split(".")[0] in ("hydra", "omegaconf")
    }
    assert importers == {"plan/compose.py"}
