"""Messages by the hundred thousand to a worker in a process of its own, on several connections at a time.

Some are whole, some none; some peers end in the middle, or do not read what they are told. At the end the same
process has to answer.
"""

import contextlib
import socket
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

from darkroom.render.job import Job
from darkroom.render.worker.channel import Channel
from darkroom.render.worker.message import Failed, Message, Prewarm, encode
from darkroom.render.worker.slot import private_folder
from fuzzing.mutators import bytes_changed, json_changed

PEERS = 8  # at a time
_SERVE = (
    "import sys, pathlib, darkroom.render.worker.server as s; s.serve(pathlib.Path(sys.argv[1]), int(sys.argv[2]), 2.0)"
)
_SECONDS = 60.0  # that an answer may take


def flood(count: int, seed: str, log: Path) -> tuple[Counter[str], int]:
    """What became of so many messages, and the worker's process id, which is the same at the end; AssertionError."""
    owner = subprocess.Popen(["sleep", "infinity"])
    path = private_folder(owner.pid) / "0.sock"
    with log.open("wb") as file:
        worker = subprocess.Popen(
            [sys.executable, "-P", "-c", _SERVE, str(path), str(owner.pid)], stdout=file, stderr=file
        )
    try:
        _wait(path)
        _answered(path, encode(Prewarm("flux3")), 10 * _SECONDS)  # once it has imported everything
        outcomes: Counter[str] = Counter()
        with ThreadPoolExecutor(PEERS) as peers:
            asked = [peers.submit(_peer, path, count // PEERS, f"{seed}/{n}", outcomes) for n in range(PEERS)]
            for each in asked:
                each.result()
        assert worker.poll() is None, f"the worker has ended: {log}"
        assert _answered(path, encode(Prewarm("flux3")))[0].text.startswith("family: "), "it answers as ever"
        assert "internal error" not in log.read_text(encoding="utf-8"), log
        return outcomes, worker.pid
    finally:
        owner.kill()
        owner.wait()
        worker.wait(_SECONDS)


def _peer(path: Path, count: int, seed: str, outcomes: Counter[str]) -> None:
    random = Random(seed)
    for _ in range(count):
        sent, way = _message(random), random.random()
        try:
            with _connected(path) as connection:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    connection.sendall(sent if way > 0.1 else sent[: random.randrange(len(sent) + 1)])
                if way < 0.2:
                    outcomes["gone at once"] += 1
                elif b"\n" in sent:
                    answer = Channel(connection).receive(_SECONDS)
                    outcomes["nothing" if answer is None else type(answer).__name__.lower()] += 1
                else:
                    connection.shutdown(socket.SHUT_WR)
                    outcomes["half a message"] += 1
        except (BrokenPipeError, ConnectionResetError):
            outcomes["closed"] += 1


def _message(random: Random) -> bytes:
    job = Job(
        directory=Path("/tmp"),
        requests=Path("requests.json"),
        checkpoint=Path("checkpoint.json"),
        records=Path("records.parquet"),
        results=Path("results"),
        store=Path("results/store"),
    )
    whole = encode(random.choice((job, job, Prewarm("flux2"), Failed("why"))))
    match random.randrange(20):
        case 0:
            return whole
        case 1:
            return b"x" * random.choice((2**20 - 1, 2**20 + 5))
        case 2 | 3 | 4:
            return bytes_changed(whole, random)
        case _:
            return json_changed(whole, random).replace(b"\n", b" ") + b"\n"


def _connected(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(_SECONDS)
    connection.connect(str(path))
    return connection


def _answered(path: Path, sent: bytes, seconds: float = _SECONDS) -> list[Message]:
    with _connected(path) as connection:
        connection.sendall(sent)
        answer = Channel(connection).receive(seconds)
        return [] if answer is None else [answer]


def _wait(path: Path) -> None:
    ends = time.monotonic() + _SECONDS
    while time.monotonic() < ends:
        with contextlib.suppress(FileNotFoundError, ConnectionRefusedError), _connected(path):
            return
        time.sleep(0.05)
    raise AssertionError(f"{path}: no worker has opened it")
