"""A project whose runs are on the test cluster, and what of them can be seen from outside."""

import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tests.machine.waiting import PATIENCE, wait_for
from tests.places import REPOSITORY
from tests.workflow.project import DEMO, Project, inheriting_sigint

EXPERIMENT = """\
matrix:
  model: [demo, noisy]
  lora: [none, demo_lora, demo_lokr]
  prompts: [cats, dogs]
  seed: [1, 2]
"""
PROMPTS = """\
trigger_word: sks
defaults: {width: 64, height: 64, sample_steps: 4}
prompts: ["[trigger] NAME"]
"""
RENDERED = 12  # of the 24 pictures of a project that is disturbed: both sets have the same prompts
SNAKEMAKE = Path(__file__).with_name("impatient.py")


@dataclass(frozen=True)
class Cluster(Project):
    """2 base models × 3 LoRAs × 2 prompt sets × 2 seeds: 12 combinations, 24 pictures."""

    def fill(self) -> None:
        self.write("conf/experiment/small.yaml", EXPERIMENT)
        for name in ("cats", "dogs"):
            self.write(f"conf/prompts/{name}.yaml", PROMPTS.replace("NAME", name))
        self._write_noisy_base()

    def _write_noisy_base(self) -> None:
        """Another base model of the same kind: the demo's, with noise on its weights."""
        subprocess.run(["cp", "-r", DEMO / "klein", self.folder / "noisy"], check=True)
        file = self.folder / "noisy/transformer/diffusion_pytorch_model.safetensors"
        with safe_open(file, "pt") as opened:
            metadata = opened.metadata()
        noise = torch.Generator().manual_seed(1)
        weights = {name: _shaken(weight, noise) for name, weight in load_file(file).items()}
        save_file(weights, file, metadata)
        demo = (REPOSITORY / "conf/model/demo.yaml").read_text()
        self.write("conf/model/noisy.yaml", demo.replace("${darkroom.folder}/demo/klein", "noisy"))

    def on(self, profile: str, *arguments: str, experiment: str = "small") -> list[str]:
        """The line that a person types, in this folder."""
        snakefile, profiles = REPOSITORY / "Snakefile", REPOSITORY / "profiles"
        base = [sys.executable, str(SNAKEMAKE), "-s", str(snakefile), "--profile", str(profiles / profile)]
        return [*base, *arguments, "--config", f"experiment={experiment}"]

    def run(self, profile: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        line, variables = self.on(profile, *arguments), {**os.environ, **environment}
        return subprocess.run(
            line, cwd=self.folder, capture_output=True, text=True, timeout=PATIENCE, env=variables, check=False
        )

    def begin(self, profile: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.folder / "snakemake.out").open("wb") as log, inheriting_sigint(signal.default_int_handler):
            return subprocess.Popen(self.on(profile, *arguments), cwd=self.folder, stdout=log, stderr=log)

    def said(self) -> str:
        """What a run that was begun has said so far."""
        return (self.folder / "snakemake.out").read_text()

    def jobs(self) -> list[dict[str, str]]:
        """Of this project, ended ones too: what Slurm has of each."""
        shown = subprocess.run(["scontrol", "-o", "show", "job"], capture_output=True, text=True).stdout
        jobs = [dict(re.findall(r"(\w+)=(\S*)", line)) for line in shown.splitlines()]
        return [job for job in jobs if job.get("WorkDir") == str(self.folder)]

    def running_shard(self) -> dict[str, str] | None:
        """A job that has rendered a picture of its shard by now, and is not done."""
        work = {int(process.environ()["SLURM_JOB_ID"]) for process in self.workers()}
        running = [job for job in self.jobs() if job["JobState"] == "RUNNING" and int(job["JobId"]) in work]
        return running[0] if running and self.stored() else None

    def rendered(self) -> dict[str, int]:
        """How often each picture of the store was written, by the time that it has."""
        return {path.name: path.stat().st_mtime_ns for path in self.stored()}

    @contextmanager
    def watched(self) -> Iterator[set[tuple[str, int]]]:
        """Which files a picture's name in the store had within: a second one is a second rendering."""
        seen, is_over = set[tuple[str, int]](), threading.Event()

        def look() -> None:
            while not is_over.wait(0.05):
                with suppress(FileNotFoundError):
                    seen.update((path.name, path.stat().st_ino) for path in self.stored())

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield seen
        finally:
            is_over.set()
            thread.join()

    def wait_for_silence(self) -> None:
        """No job, no process of a run: a person's machine is as it was."""
        live = ("RUNNING", "PENDING", "COMPLETING")
        wait_for(lambda: not [job for job in self.jobs() if job["JobState"] in live], "no job left")
        wait_for(lambda: not self.processes(), "no process left")


@contextmanager
def cut_off(*ports: int) -> Iterator[None]:
    """What goes to these ports of the machine's own, or comes from them, is dropped within."""
    if shutil.which("iptables") is None:
        pytest.skip("no iptables (Debian: tests/cluster/install.sh)")
    with ExitStack() as rules:
        for port, end in itertools.product(ports, ("d", "s")):
            rule = ["INPUT", "-i", "lo", "-p", "tcp", f"--{end}port", str(port), "-j", "DROP"]
            subprocess.run(["iptables", "-A", *rule], check=True)
            rules.callback(subprocess.run, ["iptables", "-D", *rule], check=True)
        yield


def _shaken(weight: torch.Tensor, noise: torch.Generator) -> torch.Tensor:
    """With noise of 0.2 % of its spread; scalars as they are."""
    if not weight.is_floating_point() or weight.numel() < 2:
        return weight
    return (weight + 0.002 * weight.float().std() * torch.randn(weight.shape, generator=noise)).to(weight.dtype)
