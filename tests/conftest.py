"""An empty home and no GPU for all; the long runs first, so that processes end together; what is said at the end."""

import gc
import json
import os
from collections.abc import Iterator

import pytest
from tests.places import DATA

# Tests are of a processor, also on a machine with a GPU; before anything asks CUDA what there is.
os.environ["CUDA_VISIBLE_DEVICES"] = ""

_GOLDEN = DATA / "parity/golden"
_LONG = 3.0  # seconds of processors, a test's own and those of the processes that it has seen end


@pytest.fixture(scope="session", autouse=True)
def empty_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What a machine's owner keeps at home, configuration and caches, is nothing to a test."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "HF_HOME", "HF_HUB_CACHE"):
            environment.delenv(name, raising=False)
        yield


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """What is imported to collect the tests stays: looking through it for garbage, at each model's load, takes long."""
    gc.disable()
    found = yield
    gc.freeze()
    gc.enable()
    return found


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/workflow/" in item.nodeid:
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    started = sum(os.times()[:4])
    try:
        return (yield)
    finally:
        if item.get_closest_marker("slow") is None and (took := sum(os.times()[:4]) - started) > _LONG:
            item.user_properties.append(("long", f"{item.nodeid}: {took:.1f} s of processors"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    passed = [report for report in terminalreporter.stats.get("passed", []) if report.when == "call"]
    said = [of_test for report in passed for of_test in report.user_properties]
    if long := [text for name, text in said if name == "long"]:
        terminalreporter.section("too long for `make check`: shorten them, or mark them slow")
        terminalreporter.write_line("\n".join(long))
    for ours in {canary for name, canary in said if name == "canary"}:
        terminalreporter.write_line(_comparison(ours))


def _comparison(ours: str) -> str:
    """How strictly pixels were compared on the machine of this canary."""
    theirs = json.loads((_GOLDEN / "cases.json").read_text())["trainer_canary"]
    near = "with the trainer's within rel 1e-5 (fp32), 2e-2 (bf16; Z-Image's 4e-2)"
    if ours == theirs:
        said = "bit for bit with the trainer's goldens"
    elif ours in json.loads((_GOLDEN / "hashes.json").read_text()):
        said = f"bit for bit with this processor's goldens, and {near}"
    else:
        said = f"{near}: this processor rounds differently"
    return f"parity: compared {said} (canary {ours}, the trainer's {theirs})"
