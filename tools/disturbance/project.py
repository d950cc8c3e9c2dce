"""The project that is disturbed: a small experiment of the demo's model, its runs, and what they leave."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from PIL import Image

REPOSITORY = Path(__file__).parents[2]
PATIENCE = 900.0  # seconds after which something hangs
LINGERING = 30.0  # seconds in which what a run has started may end after it

EXPERIMENT = """\
matrix: {model: [demo], lora: [none, mine], prompts: [words], seed: [1, 2]}
output: {save_latents: true}
"""
WORDS = """\
defaults: {width: 64, height: 64, sample_steps: 4}
prompts: [{prompt: a cat}, {prompt: "sks, two cats", neg: blurry}, {prompt: a dog, ctrl_img: red.png}]
"""
PICTURES = 12

File = tuple[int, int]  # which file lies under a name: its inode, and when it was written


@dataclass
class Project:
    """A person's folder below `root`, always of the same path: records name it."""

    root: Path
    said: list[str] = field(default_factory=list)  # by each run that has ended

    @property
    def folder(self) -> Path:
        return self.root / "project"

    @property
    def results(self) -> Path:
        return self.folder / "results"

    @property
    def temporary(self) -> Path:
        return self.root / "tmp"

    def make(self) -> None:
        """The folder as a person has written it, without results."""
        for path, text in {
            "conf/experiment/faults.yaml": EXPERIMENT,
            "conf/prompts/words.yaml": WORDS,
            "conf/lora/mine.yaml": "trigger_word: sks\nloras: [{path: mine.safetensors}]\n",
        }.items():
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_text(text)
        shutil.copy(REPOSITORY / "demo/demo_lora.safetensors", self.folder / "mine.safetensors")
        Image.new("RGB", (64, 64), "red").save(self.folder / "red.png")
        self.temporary.mkdir(exist_ok=True)

    def begin(
        self, prepare: Callable[[], object] = lambda: None, *, output: Path | None = None, **environment: str
    ) -> subprocess.Popen[bytes]:
        """A run in the background, in a process group of its own as a shell would start it.

        `prepare`: called in its process before it begins, to set a limit for one. `output`: where it says things.
        """

        def prepared() -> None:
            signal.signal(signal.SIGINT, signal.default_int_handler)  # also where `make faults &` ignores it
            prepare()

        snakefile = str(REPOSITORY / "Snakefile")
        command = [sys.executable, "-P", "-m", "snakemake", "-s", snakefile, "--cores", "1"]
        (self.root / "said").unlink(missing_ok=True)
        with (output or self.root / "said").open("wb") as said:
            return subprocess.Popen(
                [*command, "--config", "experiment=faults"],
                cwd=self.folder,
                stdout=said,
                stderr=said,
                start_new_session=True,
                preexec_fn=prepared,
                env={**self._environment(), **environment},
            )

    def end(self, run: subprocess.Popen[bytes]) -> int:
        """Wait for a run; its status."""
        status = run.wait(PATIENCE)
        if (said := self.root / "said").is_file():
            self.said.append(said.read_text(errors="replace"))
        return status

    def run(self) -> int:
        return self.end(self.begin())

    def processes(self) -> list[psutil.Process]:
        """That live in this project: runs, their jobs and their workers."""
        found = psutil.process_iter(["cmdline", "cwd", "status"])
        return [
            each
            for each in found
            if each.info["cwd"] == str(self.folder) and each.info["status"] != psutil.STATUS_ZOMBIE
        ]

    def workers(self) -> list[psutil.Process]:
        return [each for each in self.processes() if {"darkroom", "worker"} <= {*each.info["cmdline"]}]

    def shown(self) -> dict[str, bytes]:
        """Every file that a person opens."""
        images = self.results / "faults/images"
        return {str(path.relative_to(images)): path.read_bytes() for path in sorted(images.rglob("*.*"))}

    def stored(self) -> dict[str, tuple[File, bytes]]:
        """The store's pictures: which file each is, and its bytes."""
        found = {}
        for path in sorted((self.results / "store/images").rglob("[!.]*.png")):
            seen = path.stat()
            found[path.name] = ((seen.st_ino, seen.st_mtime_ns), path.read_bytes())
        return found

    def files(self) -> set[str]:
        """All that lies in results/, but for logs, news of a run, and what is known of files that came and went."""
        return {
            str(path.relative_to(self.results))
            for path in self.results.rglob("*")
            if path.is_file() and not {"logs", "digests", "live.js"} & {*path.relative_to(self.results).parts}
        }

    def mounts(self) -> list[str]:
        """Where file systems are mounted in it, the innermost first."""
        lines = Path("/proc/self/mounts").read_text().splitlines()
        return [place for place in (line.split()[1] for line in reversed(lines)) if place.startswith(str(self.root))]

    def lingering(self) -> list[str]:
        """Processes that should have ended with the runs and have not, once they have had the time to."""
        return _settled(self._processes, LINGERING)

    def left(self) -> list[str]:
        """The same, and files that should have gone."""
        return _settled(lambda: [*self._processes(), *self._files_left()], LINGERING)

    def _processes(self) -> list[str]:
        return [f"process {' '.join(each.info['cmdline'])[-80:]}" for each in self.processes()]

    def _files_left(self) -> list[str]:
        sockets = [str(path.relative_to(self.temporary)) for path in self.temporary.rglob("*") if not path.is_dir()]
        return [*sockets, *(path.name for path in self.folder.rglob(".*.tmp"))]

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DARKROOM", "XDG"))}
        return {**kept, "HOME": str(self.root), "TMPDIR": str(self.temporary), "OMP_NUM_THREADS": "1"}


def wait_for(look: Callable[[], Any], run: subprocess.Popen[bytes]) -> Any:
    """The first true value of `look`, or its last one when the run has ended."""
    while not (value := look()) and run.poll() is None:
        time.sleep(0.02)
    return value


def _settled(look: Callable[[], list[str]], seconds: float) -> list[str]:
    ends = time.monotonic() + seconds
    while (found := look()) and time.monotonic() < ends:
        time.sleep(0.2)
    return found
