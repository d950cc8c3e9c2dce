"""The walls of the house: which room may import which, what stays out of which, how many files a room may have."""

import ast
import re
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from tests.places import REPOSITORY

import darkroom

PACKAGE = Path(darkroom.__file__).parent
TESTS = Path(__file__).parent

# A room is a folder, or a file beside them. Each may import what its line names, which stands above it: no circle.
MAY_IMPORT = {
    # the ground: words and values
    "__init__": "",
    "display": "",
    "errors": "display",
    "names": "",
    "request": "names",
    # files, and what lies in results/ and previews/
    "filesystem": "errors",
    "files": "errors filesystem",
    "files/images": "errors files",
    "base_files": "errors display files",
    "lora_files/training": "files",
    "base_files/gguf": "errors display files base_files",
    "lora_files": "errors names display files base_files lora_files/training",
    "lora_files/inspection": "errors display files base_files lora_files lora_files/training",
    "checkpoint": "errors request files",
    "record": "errors request files files/images",
    "provenance": "errors files record",
    "planned": "errors names request files",
    "store": "errors names request files",
    "written": "errors files",
    "scoring": "errors display request files",
    "trials": "request files",
    "job_errors": "errors names filesystem files",
    "telling": "errors display job_errors filesystem files",
    "thresholds": "errors files record",
    "previews": "__init__ display errors request files",
    "named_picture": "errors names files record planned store previews",
    # plan: what to render
    "plan/prompt_text": "errors display files",
    "plan/conf": (
        "__init__ errors names display request files files/images base_files/gguf base_files checkpoint provenance "
        "plan/prompt_text"
    ),
    "plan/weights": (
        "errors request display files base_files/gguf base_files checkpoint store lora_files lora_files/training "
        "plan/conf"
    ),
    "plan/trials": (
        "errors display request files lora_files/training record planned store trials previews named_picture plan/conf"
    ),
    "plan/requests": "errors names request files files/images plan/conf plan/weights",
    "plan/scoring": "errors display names request files record scoring plan/conf",
    "plan": (
        "errors telling job_errors names request filesystem files files/images checkpoint provenance planned scoring "
        "store written thresholds previews plan/conf plan/weights plan/requests plan/scoring"
    ),
    "plan/estimate": "errors names display request checkpoint record store plan plan/conf plan/weights",
    "plan/shards": "errors job_errors names display telling planned store plan plan/estimate",
    "machine/allotment": "display",
    "machine": "errors display files machine/allotment plan/weights",
    # intake: other programs' files, on their way to conf/ and previews/
    "intake": "errors display files files/images lora_files lora_files/training previews plan/prompt_text plan/conf",
    "intake/aitk": (
        "errors display request files files/images lora_files lora_files/training previews plan/prompt_text plan/conf "
        "intake"
    ),
    # render: how
    "render/weights": "errors display request filesystem files base_files/gguf base_files checkpoint",
    "render/device": "__init__ errors request record machine/allotment render/weights",
    "render/adapters": "errors request files lora_files render/weights render/device",
    "render/families": "errors request files base_files/gguf base_files checkpoint render/weights render/device",
    "render/families/flux1": (
        "errors request files base_files/gguf base_files checkpoint render/weights render/device render/families "
    ),
    "render/families/flux2": (
        "errors request base_files/gguf base_files lora_files checkpoint render/weights render/device render/families"
    ),
    "render/families/zimage": (
        "errors request base_files/gguf base_files lora_files checkpoint render/weights render/device "
        "render/adapters render/families"
    ),
    "render/attempts": "errors request filesystem files record",
    "render": (
        "errors names request filesystem files files/images lora_files checkpoint record provenance planned "
        "job_errors store written trials render/attempts render/weights render/device render/adapters render/families "
        "render/families/flux1 render/families/flux2 render/families/zimage"
    ),
    "render/scoring": "errors files/images record scoring",
    "render/worker": (
        "errors request names display telling filesystem files machine/allotment checkpoint planned job_errors record "
        "store written trials render render/device render/attempts"
    ),
    # review: what came out
    "review/page": "display request files files/images lora_files/training",
    "review/pair": "errors request files files/images record",
    "review/regress": (
        "__init__ errors display request files files/images record thresholds previews named_picture review/page "
        "review/pair"
    ),
    "review": (
        "__init__ errors filesystem telling names display request files files/images record provenance planned "
        "job_errors store trials thresholds previews named_picture review/pair review/regress"
    ),
    "review/scores": "errors display files/images record scoring",
    "review/sheet": (
        "errors display request files record planned scoring store telling review review/page review/scores"
    ),
    "review/sharing": "errors display request files files/images record previews store review/page review/sheet",
    "review/inventory": "errors names display filesystem files record planned store trials previews review/regress",
    "review/choosing": (
        "__init__ errors names display request files lora_files/training record store review/page review/regress "
        "review/inventory"
    ),
    # a run of Snakemake as a person sees it
    "terminal": "__init__ errors telling display filesystem store job_errors plan/conf review",
    # the commands
    "cli": (
        "__init__ errors telling display filesystem files lora_files lora_files/inspection job_errors record planned "
        "scoring store previews plan plan/conf plan/estimate plan/shards plan/trials plan/weights machine "
        "intake intake/aitk trials terminal render render/device render/scoring render/worker review review/choosing "
        "review/inventory review/regress review/scores review/sharing review/sheet"
    ),
    "__main__": "cli machine",
}
SLOW = {"torch", "diffusers", "transformers", "numpy", "PIL", "pyarrow", "scipy", "skimage", "huggingface_hub", "gguf"}


def room_of(file: Path) -> str:
    folder = file.parent.relative_to(PACKAGE)
    return file.stem if folder == Path() else folder.as_posix()


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


@cache
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


def room_of_import(name: str) -> str | None:
    """The room of `darkroom.plan.conf.schema.Model`, or of a member of the package itself; None for other packages."""
    package, *parts = name.split(".")
    if package != "darkroom":
        return None
    for length in range(len(parts), 0, -1):
        module = PACKAGE.joinpath(*parts[:length]).with_suffix(".py")
        if module.is_file():
            return room_of(module)
        if module.with_suffix("").is_dir():
            return "/".join(parts[:length])
    return "__init__"


def arrows(file: Path) -> set[str]:
    rooms = {room for name in imported(file) if (room := room_of_import(name)) is not None}
    return rooms - {room_of(file)}


def modules(room: str) -> list[str]:
    inside = (file for file in (PACKAGE / room).rglob("*.py") if file.stem != "__init__")
    return sorted(".".join(("darkroom", *file.relative_to(PACKAGE).with_suffix("").parts)) for file in inside)


def loaded_by(statement: str) -> set[str]:
    """The packages that a new Python has imported after a statement."""
    code = f"{statement}\nimport sys\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_every_room_is_in_the_table():
    assert {room_of(file) for file in files()} <= MAY_IMPORT.keys()


def test_arrows_run_one_way():
    rooms = list(MAY_IMPORT)
    upwards = {
        f"{room} imports {other}"
        for place, room in enumerate(rooms)
        for other in MAY_IMPORT[room].split()
        if other not in rooms[:place]
    }
    assert upwards == set()


def test_a_room_imports_what_the_table_says_and_nothing_else():
    strays = {
        f"{file.relative_to(PACKAGE)} imports {other}"
        for file in files()
        for other in arrows(file) - set(MAY_IMPORT[room_of(file)].split())
    }
    assert strays == set()


def test_the_table_allows_no_more_than_is_imported():
    imports = {room: set[str]() for room in MAY_IMPORT}
    for file in files():
        imports[room_of(file)] |= arrows(file)
    assert {room: unused for room, may in MAY_IMPORT.items() if (unused := {*may.split()} - imports[room])} == {}


@pytest.mark.parametrize("room", ["files", "base_files", "lora_files", "plan", "intake", "review"])
def test_a_room_leaves_torch_out(room):
    assert "torch" not in loaded_by(f"import {', '.join(modules(room))}")


def test_nothing_that_the_snakefile_imports_is_slow():
    """Beside what Snakemake itself has imported by then."""
    own = loaded_by("import snakemake.api")
    ours = loaded_by(
        "import snakemake.api, darkroom.plan.workflow, darkroom.plan.shards.lookup, darkroom.render.worker.owner, "
        "darkroom.review.sheet.live_page"
    )
    assert (ours - own) & SLOW == set()


def test_the_command_line_is_quick_to_start():
    assert loaded_by("import darkroom.__main__") & SLOW == set()


def test_a_job_of_plan_has_no_use_for_hydra():
    assert loaded_by("import darkroom.plan.digests") & {"hydra", "omegaconf"} == set()


@pytest.mark.parametrize(
    ("packages", "importers"),
    [
        ({"hydra", "omegaconf"}, {"plan/conf/compose.py", "plan/conf/option_file.py", "plan/conf/overrides.py"}),
        ({"optimum"}, set()),  # quanto, which the tests compare our own arithmetic with
    ],
)
def test_some_packages_stay_in_few_files(packages, importers):
    imports = {(str(file.relative_to(PACKAGE)), name.split(".")[0]) for file in files() for name in imported(file)}
    assert {file for file, package in imports if package in packages} == importers


def test_the_python_of_a_rule_imports_nothing_from_the_folder_it_is_run_in():
    lines = [line for file in sorted(REPOSITORY.glob("rules/*.smk")) for line in file.read_text().splitlines()]
    starts = [line.strip() for line in lines if re.search(r"\bpython\b", line)]
    assert starts
    assert [line for line in starts if "python -P " not in line and not line.startswith("#")] == []


def folders() -> list[Path]:
    inside = [folder for root in (PACKAGE, TESTS) for folder in (root, *sorted(root.rglob("*"))) if folder.is_dir()]
    return [folder for folder in inside if modules_in(folder)]


def modules_in(folder: Path) -> list[str]:
    """The files of a folder by name; a test's begins after `test_`, which pytest wants."""
    return [file.stem.removeprefix("test_") for file in folder.glob("*.py")]


def name_of(folder: Path) -> str:
    return f"{folder.relative_to(PACKAGE if folder.is_relative_to(PACKAGE) else TESTS.parent)}"


@pytest.mark.parametrize("folder", [folder for folder in folders() if folder.is_relative_to(PACKAGE)], ids=name_of)
def test_a_prefix_is_a_missing_folder(folder):
    first_words = Counter(name.split("_")[0] for name in modules_in(folder) if not name.startswith("__"))
    assert [word for word, count in first_words.items() if count > 1] == []


@pytest.mark.parametrize("folder", folders(), ids=name_of)
def test_no_folder_has_more_than_15_files(folder):
    assert len(modules_in(folder)) <= 15
