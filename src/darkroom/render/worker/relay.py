"""Stands in a worker's place where the worker runs elsewhere: the same socket, and two streams to the other machine.

    client  <-- AF_UNIX -->  relay  <-- stdin and stdout of `srun … darkroom rule worker -` -->  worker

The relay is a process of the run's own machine. It ends with its owner; then the worker's stream ends, and the worker.
"""

import contextlib
import os
import select
import shlex
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn

from darkroom.errors import WorkerError
from darkroom.render.job import EncodeJob, Job, SheetJob
from darkroom.render.worker.channel import Channel, Client, Streams
from darkroom.render.worker.door import Caller, Door, say
from darkroom.render.worker.line import RENEWED
from darkroom.render.worker.message import Begin, Done, Failed, Leave, Lost, Renew, Stop, Stopped
from darkroom.render.worker.owner import end_with
from darkroom.render.worker.slot import clear, note_gone

COMMAND = (sys.executable, "-P", "-m", "darkroom", "rule", "worker", "-")
_PATIENCE = 10.0  # seconds; clients send as soon as they are connected
_MOMENT = 1.0  # seconds for a worker that can be heard no more to end by itself


def relay(path: Path, owner: int, launcher: Sequence[str], log: Path) -> None:
    """Start a worker behind `launcher` and hand it what is asked at `path`, until the owner or the worker ends.

    WorkerError where the command cannot be started.
    """
    end_with(owner, partial(clear, path.parent))
    say(f"{shlex.join(launcher)} starts a worker")
    try:
        process = subprocess.Popen([*launcher, *COMMAND], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    except OSError as error:
        raise WorkerError(f"launcher: {launcher[0]} cannot be started: {error.strerror}") from error
    door = Door(path, _PATIENCE, os.getuid())  # opened last: what cannot be started has no door that opens
    assert process.stdin is not None
    assert process.stdout is not None
    streams = Streams(process.stdout.fileno(), process.stdin.fileno())
    worker = Channel(streams)
    try:
        worker.send(Begin(log))
    except BrokenPipeError:
        note_gone(path)
        _end_with_worker(process, launcher)
    threading.Thread(target=_renew, args=(worker,), daemon=True).start()
    while True:
        caller = door.next_caller()
        with caller.connection:  # open until this process ends, so that its last words are there to be read
            try:
                _hand_on(caller, worker, streams)
            except (BrokenPipeError, ConnectionResetError, WorkerError):
                if not worker.was_heard:
                    note_gone(path)
                door.close()  # the next client starts another worker
                _end_with_worker(process, launcher)


def _end_with_worker(process: subprocess.Popen[bytes], launcher: Sequence[str]) -> NoReturn:
    """End as it did, which is why nothing can be handed to it."""
    try:
        status = process.wait(_MOMENT)
    except subprocess.TimeoutExpired:
        process.kill()
        status = process.wait()
    say(f"the worker behind {shlex.join(launcher)} is gone: it ended with status {status}")
    os._exit(status)


def _renew(worker: Channel) -> None:
    """Let the worker know that somebody is here."""
    with contextlib.suppress(BrokenPipeError):
        while True:
            worker.send(Renew())
            time.sleep(RENEWED)


def _hand_on(caller: Caller, worker: Channel, streams: Streams) -> None:
    """One job and its answers; what nobody waits for is left to the worker's own beginning."""
    if not isinstance(caller.message, Job | SheetJob | EncodeJob):
        return
    assert isinstance(caller.connection, socket.socket)
    worker.send(caller.message)
    client, is_left = caller.client, False
    while True:
        # All that is here, before anything is waited for: of what came at once, nothing more would be heard.
        is_left = is_left or not _is_told_more(client, worker)
        while answer := worker.arrived():
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                client.send(answer)
            if isinstance(answer, Done | Failed | Lost | Stopped):
                return
        if worker.is_closed():
            raise BrokenPipeError("it has ended")
        heard: list[Streams | socket.socket] = [streams] if is_left else [streams, caller.connection]
        select.select(heard, [], [])


def _is_told_more(client: Client, worker: Channel) -> bool:
    """Hand on what a client says while it waits; False once it is gone, of which the worker is told."""
    while message := client.arrived():
        if isinstance(message, Stop):
            worker.send(message)
    if not client.is_closed():
        return True
    worker.send(Leave())
    return False
