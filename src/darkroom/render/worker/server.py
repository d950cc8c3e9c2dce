"""The warm worker: one process per GPU that keeps pipelines loaded and serves one combination at a time.

It belongs to the Snakemake process that its first client was started by, and ends when that ends, however that ends.
Knows sockets and processes; what a combination is, `combination.py` knows.
"""

import contextlib
import json
import os
import select
import shutil
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from darkroom.errors import DarkroomError
from darkroom.render.family import family
from darkroom.render.job import PREWARM, Job


class Abandoned(Exception):
    """The client is gone: nobody waits for this combination any more."""


def serve(path: Path, owner: int) -> None:
    """Serve combinations on the AF_UNIX socket at `path` until the owner ends."""
    # 1. Open the door first: clients connect at once and wait through the imports.
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen()
    _sweep(path.parent.parent)
    # 2. Live no longer than the owner, even in the middle of an image.
    threading.Thread(target=_end_with, args=(owner, path.parent), daemon=True).start()
    # 3. The heavy imports, once.
    from darkroom.render.combination import render_combination
    from darkroom.render.pipelines import Pipelines

    pipelines, answered = Pipelines(), dict[str, str]()
    _say(f"worker {os.getpid()} ready, owner {owner}")
    # 4. One combination at a time; a client that is gone is noticed between denoising steps.
    while True:
        connection, _ = listener.accept()
        with connection:
            _serve_one(connection, partial(render_combination, pipelines=pipelines), answered)


def _serve_one(connection: socket.socket, render: Callable[..., None], answered: dict[str, str]) -> None:
    """`answered`: the error of each combination that failed, so that a retry need not tell it at length again."""

    def check() -> None:
        readable, _, _ = select.select([connection], [], [], 0)
        if readable and not connection.recv(1, socket.MSG_PEEK):
            raise Abandoned

    message = _first_message(connection)
    if message is None:
        return  # the client is gone already
    if PREWARM in message:
        family(message[PREWARM])
        return
    job = Job(**message)
    try:
        os.chdir(job.directory)
        render(job, report=lambda progress: _send(connection, {"progress": progress.to_json()}), check=check)
        _send(connection, {"done": True})
    except (Abandoned, BrokenPipeError, ConnectionResetError):
        _say("the client is gone; its combination is abandoned, finished images are kept")
    except DarkroomError as error:
        _answer_error(connection, str(error), again=answered.get(job.requests) == str(error))
        answered[job.requests] = str(error)
    except Exception as error:  # a bug of ours or of a library, or a lost GPU: nothing here can be trusted any more
        traceback.print_exc()
        _answer_error(connection, f"internal error: {type(error).__name__}: {error} (traceback in the worker's log)")
        raise SystemExit(1) from error  # the next job gets a fresh worker


def _answer_error(connection: socket.socket, text: str, *, again: bool = False) -> None:
    _say(text)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        _send(connection, {"error": text, "again": again})


def _send(connection: socket.socket, event: dict[str, Any]) -> None:
    connection.sendall(json.dumps(event).encode() + b"\n")


def _first_message(connection: socket.socket) -> dict[str, Any] | None:
    received = b""
    while not received.endswith(b"\n"):
        part = connection.recv(65536)
        if not part:
            return None
        received += part
    message: dict[str, Any] = json.loads(received)
    return message


def _end_with(owner: int, folder: Path) -> None:
    """Wait for the owner's end, clean up, and end this process at once."""
    with contextlib.suppress(ProcessLookupError):
        select.select([os.pidfd_open(owner)], [], [])  # readable once it has ended, reaped by its parent or not
    for file in (*folder.glob("*.sock"), *folder.glob("*.lock")):
        file.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # another device's worker is doing the same
        folder.rmdir()
    _say(f"owner {owner} has ended, so has worker {os.getpid()}")
    os._exit(0)


def _sweep(parent: Path) -> None:
    """Remove the folders of owners that are gone: a worker that was killed could not."""
    for folder in parent.iterdir():
        if folder.name.isdecimal() and not psutil.pid_exists(int(folder.name)):
            shutil.rmtree(folder, ignore_errors=True)  # another worker may be sweeping too


def _say(text: str) -> None:
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)
