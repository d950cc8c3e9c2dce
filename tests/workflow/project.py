"""Real Snakemake runs on the demo's checkpoint, in a project folder of their own with their own conf/."""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
from tests.machine.waiting import PATIENCE
from tests.places import REPOSITORY

DEMO = REPOSITORY / "demo"

EXPERIMENT = """\
# @package _global_
matrix:
  model: [demo]
  lora: [none, demo_lora]
  prompts: [cats, dogs]
  seed: [1, 2]
"""
CATS = """\
defaults: {width: 64, height: 64, sample_steps: 2}
prompts:
  - {prompt: "a cat"}
  - {prompt: "two cats", neg: "blurry"}
"""
DOGS = """\
defaults: {width: 64, height: 64, sample_steps: 2}
prompts:
  - {prompt: "a dog"}
"""


@dataclass(frozen=True)
class Project:
    """A user's folder with a conf/ of its own; Darkroom's Snakefile runs in it."""

    folder: Path

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def command(self, *arguments: str) -> list[str]:
        snakefile = str(REPOSITORY / "Snakefile")
        base = [sys.executable, "-m", "snakemake", "-s", snakefile, "--directory", str(self.folder), "--cores", "1"]
        return [*base, *arguments, *([] if "--config" in arguments else ["--config", "experiment=small"])]

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = self.command(*arguments)
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=PATIENCE)

    def darkroom(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """As a person types it."""
        command = [sys.executable, "-P", "-m", "darkroom", *arguments]  # -P: as the command that an install makes
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=PATIENCE)

    def start(self, *arguments: str, sigint: Any = signal.default_int_handler) -> subprocess.Popen[bytes]:
        """Snakemake in the background, in a process group of its own as a shell would start it.

        `sigint`: what the run inherits, whatever the tests did; SIG_IGN is what `nohup` in a script gives it.
        """
        with (self.folder / "snakemake.out").open("wb") as log, inheriting_sigint(sigint):
            return subprocess.Popen(
                self.command(*arguments), cwd=self.folder, stdout=log, stderr=log, start_new_session=True
            )

    def rows(self, experiment: str = "small") -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = pq.read_table(
            self.folder / "results" / experiment / "manifest.parquet"
        ).to_pylist()
        return rows

    def pictures(self, experiment: str = "small") -> dict[str, bytes]:
        images = self.folder / "results" / experiment / "images"
        return {str(path.relative_to(images)): path.read_bytes() for path in sorted(images.rglob("*.png"))}

    def has_live_page(self, experiment: str = "small") -> bool:
        """True where report.html is the page of a run at work, or of one that was killed."""
        page = self.folder / "results" / experiment / "report.html"
        return page.is_file() and "live.js" in page.read_text(encoding="utf-8")

    def stored(self) -> list[Path]:
        """Pictures that are finished, whether or not their combination is."""
        return sorted((self.folder / "results/store/images").rglob("[!.]*.png"))

    def workers(self) -> list[psutil.Process]:
        """The live workers of this project."""
        return [process for process in self.processes() if {"darkroom", "worker"} <= {*(process.info["cmdline"] or ())}]

    def processes(self) -> list[psutil.Process]:
        """Live processes whose current folder is this project: runs, their jobs and their workers."""
        return [
            process
            for process in psutil.process_iter(["cmdline", "cwd", "status"])
            if process.info["cwd"] == str(self.folder) and process.info["status"] != psutil.STATUS_ZOMBIE
        ]


@contextlib.contextmanager
def inheriting_sigint(handler: Any) -> Iterator[None]:
    """What is started within has this for SIGINT, also where the tests run in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
