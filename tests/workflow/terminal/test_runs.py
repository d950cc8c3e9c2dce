"""What a person reads in the terminal of `darkroom run` and `darkroom regress`."""

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import torch
from safetensors import safe_open
from tests.machine.waiting import PATIENCE, wait_for
from tests.workflow.project import CATS, Project, inheriting_sigint

DOGS = ("matrix.prompts=[dogs]", "matrix.lora=[none]")  # two pictures
NOISE = ("Traceback", "RuleException", "CalledProcessError", "Snakemake", "rule ", "jobid")
_SIZE = (24, 100)  # lines and columns of a terminal


def darkroom(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    """stdout and stderr together, as in a terminal that is none."""
    command = [sys.executable, "-P", "-m", "darkroom", *arguments]  # -P: as the command that an install makes
    return subprocess.run(
        command, cwd=project.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PATIENCE
    )


def without_time(text: str) -> list[str]:
    """Nor the lines that are said now and then, on a slow machine."""
    lines = re.sub(r"in \d+:\d\d", "in 0:00", text).splitlines()
    return [line for line in lines if not re.fullmatch(r"small: \d of \d pictures(, .* left)?", line)]


def test_what_is_planned_what_was_made_and_the_page_are_all_that_a_run_says(project: Project) -> None:
    dry = darkroom(project, "run", "small", *DOGS, "-n")
    assert (dry.returncode, dry.stdout.splitlines()) == (
        0,
        ["small: 2 pictures; 1 combination, 1 model", "-n: 2 pictures would be rendered"],
    )
    assert not (project.folder / "results").exists()

    done = darkroom(project, "run", "small", *DOGS)
    assert (done.returncode, without_time(done.stdout)) == (
        0,
        [
            "small: 2 pictures; 1 combination, 1 model",
            "small: 2 pictures in 0:00: 2 rendered, 0 kept",
            "results/small/report.html",
        ],
    )
    log = (project.folder / "results/small/logs/snakemake.log").read_text()
    assert "-m snakemake -s " in log.splitlines()[0]
    assert "rule render:" in log

    again = darkroom(project, "run", "small", *DOGS)
    assert (again.returncode, again.stdout.splitlines()) == (
        0,
        ["small: 2 pictures, all of them there; 1 combination, 1 model", "nothing to do; results/small/report.html"],
    )


def test_a_variant_is_rendered_beside_the_first_and_no_file_there_is_taken_for_a_library(finished: Project) -> None:
    for library in ("darkroom", "snakemake", "torch", "yaml"):
        finished.write(f"{library}.py", "raise SystemExit('this is no library')\n")
    webp = ("output.format=webp", "output.save_latents=true")
    done = darkroom(finished, "run", "small", *DOGS, *webp, "--name", "small_webp")
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1] == "results/small_webp/report.html"
    rows = finished.rows("small_webp")
    assert [Path(row["image_path"]).name for row in rows] == ["000_1.webp", "000_2.webp"]
    with safe_open(finished.folder / rows[0]["latents_path"], "pt") as file:
        latents = file.get_tensor("latents")
    assert (latents.dtype, tuple(latents.shape)) == (torch.float32, (1, 32, 4, 4))
    assert len(finished.pictures()) == 12


def test_a_mistake_is_a_sentence_and_leaves_nothing(project: Project) -> None:
    unknown = darkroom(project, "run", "smal")
    assert unknown.returncode == 1
    assert "there is no conf/experiment/smal.yaml; did you mean 'small'? known: demo, " in unknown.stdout
    assert len(unknown.stdout.splitlines()) == 1
    none = darkroom(project, "run")
    assert none.returncode == 1
    assert none.stdout == "darkroom: which experiment? There are demo, demo_nightly, demo_training, small\n"
    unimported = darkroom(project, "regress", "small")
    assert unimported.returncode == 1
    assert "previews/small/previews.parquet: there are no stored previews: `darkroom import aitk" in unimported.stdout
    assert not [noise for noise in NOISE if noise in unimported.stdout]
    assert not (project.folder / "results").exists()


def test_an_option_that_asks_snakemake_for_something_else_gets_it(finished: Project) -> None:
    asked = darkroom(finished, "run", "small", "--summary")
    assert "results/small/manifest.parquet" in asked.stdout
    asked = darkroom(finished, "run", "small", "--delete-all-output")
    assert "Deleting results/small/report.html" in asked.stdout
    assert "nothing to do" not in asked.stdout


def test_verbose_is_snakemakes_own_output(finished: Project) -> None:
    done = darkroom(finished, "run", "small", "--verbose")
    assert done.returncode == 0
    assert "-m snakemake -s " in done.stdout.splitlines()[0]
    assert "Nothing to be done" in done.stdout


def test_ctrl_c_ends_in_a_sentence_and_the_next_run_goes_on(project: Project) -> None:
    project.write(
        "conf/prompts/cats.yaml", CATS.replace("sample_steps: 2", "sample_steps: 100")
    )  # to be stopped within
    words = ("run", "small", "matrix.prompts=[cats]", "matrix.lora=[none]")
    terminal, inside = os.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", *_SIZE, 0, 0))
    command = [sys.executable, "-m", "darkroom", *words]
    with inheriting_sigint(signal.default_int_handler):
        run = subprocess.Popen(command, cwd=project.folder, stdout=inside, stderr=inside, start_new_session=True)
    os.close(inside)
    wait_for(project.stored, "a finished picture", run)

    os.killpg(run.pid, signal.SIGINT)  # as a terminal does

    shown = _rest(terminal)
    assert run.wait(PATIENCE) == 130
    assert "4 pictures, 00:" in shown, "the bar"
    stopped = re.findall(r"small: stopped at (\d) of 4 pictures; the next run goes on from there; (\S+)", shown)
    assert stopped == [(stopped[0][0], "results/small/report.html")]
    assert not [noise for noise in NOISE if noise in shown]
    wait_for(lambda: not project.processes(), "the end of every process")
    assert {row["status"] for row in project.rows()} <= {"done", "not rendered"}

    resumed = darkroom(project, *words, "-n")
    assert resumed.returncode == 0
    assert f"4 pictures, {stopped[0][0]} of them there" in resumed.stdout.splitlines()[0]


def _rest(terminal: int) -> str:
    """What a terminal shows until the last process that writes to it ends."""
    shown, until = b"", time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            chunk = os.read(terminal, 65_536)
        except OSError:  # of Linux, at its end
            break
        shown += chunk
    return shown.decode()


def test_a_run_whose_terminal_is_killed_ends_as_it_would_have(project: Project) -> None:
    command = [sys.executable, "-m", "darkroom", "run", "small", *DOGS]
    run = subprocess.Popen(command, cwd=project.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(project.workers, "a worker", run)
    run.kill()
    run.wait()
    wait_for(lambda: not project.processes(), "the end of every process")
    assert {row["status"] for row in project.rows()} == {"done"}
