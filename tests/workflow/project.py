"""Real Snakemake runs on the demo's checkpoint, in a project folder of their own with their own conf/."""

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
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
        return subprocess.run(self.command(*arguments), cwd=self.folder, capture_output=True, text=True, timeout=300)

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Snakemake in the background, in a process group of its own as a shell would start it."""
        with (self.folder / "snakemake.out").open("wb") as log:
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

    def stored(self) -> list[Path]:
        """Pictures that are finished, whether or not their combination is."""
        return sorted((self.folder / "results/store/images").rglob("[!.]*.png"))

    def workers(self) -> list[psutil.Process]:
        """Live workers whose current folder is this project."""
        found = []
        for process in psutil.process_iter(["cmdline", "status"]):
            command = process.info["cmdline"] or []
            if "darkroom" in command and "worker" in command and process.info["status"] != psutil.STATUS_ZOMBIE:
                with_cwd = process.as_dict(["cwd"])
                if with_cwd["cwd"] == str(self.folder):
                    found.append(process)
        return found


def wait_for(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """The first true value of `condition`, asked again and again."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"waited {seconds} s for {what}")
