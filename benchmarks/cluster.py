"""What a run on a cluster asks of the machine that it was begun on. No cluster is needed: nothing is rendered.

    python benchmarks/cluster.py plan                          80,000 pictures for 16 GPUs: what it takes to plan them
    python benchmarks/cluster.py messages [--workers 1000]     how many pictures one process can hear of, from stand-ins
    python benchmarks/cluster.py fetch [--combinations 100] [--images 2000]
                                                 what a combination costs there, with so many pictures a shard;
                                                 with darkroom[cluster-generic] installed

Each prints one JSON object. Seconds of the processor hold on a busy machine too; those of the clock do not.
"""

import argparse
import json
import os
import re
import resource
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from io import StringIO
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[1]
sys.path[:0] = [str(REPOSITORY / "src"), str(REPOSITORY / "benchmarks")]

import psutil  # noqa: E402  (after the path, so that a checkout needs no installation)
from measure import snakemake, write, write_wide_project, yaml_prompts  # noqa: E402

from darkroom.names import Names  # noqa: E402
from darkroom.planned import Contained, Contents  # noqa: E402
from darkroom.render.progress import Progress, ProgressLine  # noqa: E402
from darkroom.render.worker.channel import Channel  # noqa: E402
from darkroom.render.worker.message import encode  # noqa: E402
from darkroom.store import ExperimentFolder  # noqa: E402
from darkroom.telling.worker_state import WorkerState  # noqa: E402

CHECKPOINTS, STRENGTHS, PROMPTS, SEEDS = 100, 5, 40, 4
GPUS = 16
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join((str(REPOSITORY / "src"), os.environ.get("PYTHONPATH", "")))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    commands.add_parser("plan").set_defaults(command=lambda options: measure_plan())
    messages = commands.add_parser("messages")
    messages.add_argument("--workers", type=int, default=1000)
    messages.add_argument("--pictures", type=int, default=50, help="of each")
    messages.set_defaults(command=lambda options: measure_messages(options.workers, options.pictures))
    fetch = commands.add_parser("fetch")
    fetch.add_argument("--combinations", type=int, default=100)
    fetch.add_argument("--images", type=int, default=2000, help="of a shard; a combination has 2")
    fetch.set_defaults(command=lambda options: measure_fetch(options.combinations, options.images))
    options = parser.parse_args()
    print(json.dumps(options.command(options), indent=1))


# ---- what is planned ----


def measure_plan() -> dict[str, Any]:
    """In two shapes: one set of 40 prompts, so 100 combinations of 800 pictures; 40 sets of one, so 4,000 of 20."""
    found = {}
    with tempfile.TemporaryDirectory() as name:
        for shape, sets in (("100 x 800", 1), ("4,000 x 20", PROMPTS)):
            folder = Path(name) / str(sets)
            write_project(folder, sets)
            plan = [sys.executable, "-P", "-m", "darkroom", "plan", "large", "--profile", "slurm", "--jobs", str(GPUS)]
            dry = snakemake(folder, "-n", "--set-resources", "shard:minutes=20", "--config", "experiment=large")
            told, planned = taken(plan, folder)
            jobs, graph = taken(dry, folder)
            found[shape] = {
                "plan": planned,
                "dry run": graph,
                "jobs": {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", jobs, re.MULTILINE)},
                "told": [line.strip() for line in told.splitlines()],
            }
    return found


def write_project(folder: Path, sets: int) -> None:
    """The demo's model in the catalogue's place: a base model of 7.8 GB is not needed to plan with it."""
    (folder / "loras").mkdir(parents=True)
    shutil.copy(REPOSITORY / "demo/demo_lora.safetensors", folder / "loras/a")
    for number in range(CHECKPOINTS):
        os.link(folder / "loras/a", folder / f"loras/mine_{250 * (number + 1):09}.safetensors")
    (folder / "loras/a").unlink()
    for number in range(sets):
        write(folder / f"conf/prompts/set_{number:02}.yaml", yaml_prompts(PROMPTS // sets))
    names = ", ".join(f"set_{number:02}" for number in range(sets))
    strengths = ", ".join(str(0.25 * (number + 1)) for number in range(STRENGTHS))
    write(
        folder / "conf/experiment/large.yaml",
        f"matrix:\n  model: demo\n  lora: loras\n  prompts: [{names}]\n  network_multiplier: [{strengths}]\n"
        f"  seed: 1..{SEEDS}\n",
    )


def taken(command: list[str], folder: Path) -> tuple[str, dict[str, float]]:
    """What it prints, and what it takes."""
    began = time.monotonic()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT)
    assert process.stdout is not None
    assert process.stderr is not None
    told = process.stdout.read().decode()
    said = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command}: status {status}\n{told}\n{said}")
    return told, {
        "seconds": round(time.monotonic() - began, 1),
        "processor_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_mb": usage.ru_maxrss // 1024,
    }


# ---- what is heard ----


def measure_messages(workers: int, pictures: int) -> dict[str, Any]:
    """Stand-ins in another process say a picture each as fast as they are heard; each is shown as a client does it.

    And what `darkroom top` takes to read what so many workers say of themselves, and a relay holds for one of a pool.
    """
    limit = 2 * workers + 100
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, max(limit, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
    pairs = [socket.socketpair() for _ in range(workers)]
    talking = os.fork()
    if talking == 0:
        for number in range(pictures):
            for worker, (_, stream) in enumerate(pairs):
                stream.sendall(encode(Progress("large", f"demo / mine / {worker}", number, pictures, 4.0)))
        os._exit(0)
    heard, line, ready = 0, ProgressLine(StringIO()), selectors.DefaultSelector()
    for here, there in pairs:
        there.close()
        ready.register(here, selectors.EVENT_READ, Channel(here))
    before, began = time.process_time(), time.monotonic()
    while heard < workers * pictures:
        for key, _ in ready.select():
            while answer := key.data.arrived():
                line.show(answer)
                heard += 1
    seconds, busy = time.monotonic() - began, time.process_time() - before
    os.waitpid(talking, 0)
    return {
        "workers": workers,
        "pictures": heard,
        "pictures_a_second": round(heard / seconds),
        "processor_ms_a_picture": round(1000 * busy / heard, 4),
        "mb": psutil.Process().memory_info().rss // 2**20,
        "top": measure_top(workers),
        "mb_of_a_relay": measure_relay(),
    }


def measure_top(workers: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        experiment = ExperimentFolder(Path(name) / "results/large")
        combinations = tuple(Contained(Names("demo", f"mine_{number}", "set"), 20, 0) for number in range(workers))
        Contents(experiment="large", source="large", combinations=combinations).write(experiment.contents)
        for number in range(workers):
            state = WorkerState(
                name=f"node{number}", mark=f"{number}-1-00000000", said_at=time.time(), doing="rendering", steps=25
            )
            state.write(experiment.worker_logs / f"node{number}.log")
        told, found = taken([sys.executable, "-P", "-m", "darkroom", "top", "large", "--once"], Path(name))
    return {**found, "lines": told.count("\n")}


def measure_relay() -> int:
    """MB that are its own, while a worker elsewhere begins."""
    with tempfile.TemporaryDirectory() as name:
        command = [sys.executable, "-P", "-m", "darkroom", "rule", "relay", f"{name}/0.sock"]
        command += ["--owner", str(os.getpid()), "--launcher", "sh -c 'sleep 600'", "--log", f"{name}/log"]
        with psutil.Popen(command, env=ENVIRONMENT, stderr=subprocess.DEVNULL) as relay:
            while not Path(name, "0.sock").exists():
                time.sleep(0.1)
            time.sleep(1)
            own = int(relay.memory_full_info().uss // 2**20)
            for child in relay.children():
                child.kill()
            relay.kill()
    return own


# ---- what is fetched ----


SUBMIT = """\
(sh "$1" >"$1.log" 2>&1; echo $? >"$1.status") >/dev/null 2>&1 &
echo "$1"
"""
STATUS = """\
[ -e "$1.status" ] || { echo running; exit; }
[ "$(cat "$1.status")" = 0 ] && echo success || echo failed
"""


def measure_fetch(combinations: int, images: int) -> dict[str, Any]:
    """A real run of the demo's model, with jobs as on a cluster: no children of Snakemake's, whose time is not theirs.

    What Snakemake itself takes from start to end; and what else is done where it was started while records come:
    fetching them, submitting jobs and looking after them.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_wide_project(folder, combinations // 2)
        for prompts in ("one", "two"):
            tiny = "defaults: {width: 64, height: 64, sample_steps: 1}\n"
            write(folder / f"conf/prompts/{prompts}.yaml", tiny + yaml_prompts(1))
        for command, script in (("submit", SUBMIT), ("status", STATUS)):
            write(folder / command, script)
        queue = ["--executor", "cluster-generic", "--jobs", "2", "--cluster-generic-submit-cmd", "sh submit"]
        queue += ["--cluster-generic-status-cmd", f"sh {folder}/status", "--default-resources", "mem_mb=2000"]
        command = snakemake(folder, *queue, "--set-resources", f"shard:images={images}", "--config", "experiment=wide")
        with (folder / "said").open("wb") as said:
            process = psutil.Popen(command, cwd=folder, stdout=said, stderr=said, env=ENVIRONMENT)
        looks = list[tuple[int, Any]]()
        while process.poll() is None:
            looks.append((len(list((folder / "results/wide/records").rglob("*.parquet"))), process.cpu_times()))
            time.sleep(0.1)
        if process.returncode:
            raise SystemExit((folder / "said").read_text())
        shards = len(list((folder / "results/wide/logs/shard").rglob("*.log")))
    (_, last), (first_count, first) = looks[-1], next(look for look in looks if look[0])
    last_count, fetched = next(look for look in looks if look[0] == combinations)
    own = 1000 * (last.user + last.system) / combinations
    children = fetched.children_user + fetched.children_system - first.children_user - first.children_system
    fetching = 1000 * children / (last_count - first_count)
    return {
        "combinations": combinations,
        "shards": shards,
        "snakemake_ms_a_combination": round(own),
        "fetching_ms_a_combination": round(fetching, 1),
        "ms_a_picture_of_20": round((own + fetching) / 20, 1),
        "ms_a_picture_of_800": round((own + fetching) / 800, 2),
    }


if __name__ == "__main__":
    main()
