"""The warm worker: one process per GPU that keeps pipelines loaded and serves one combination or sheet at a time.

It belongs to the Snakemake process that its first client was started by, and ends when that ends, however that ends.
Knows sockets and processes; what a combination is, `combination.py` knows, and `trials.py` what a sheet is.
"""

import contextlib
import gc
import os
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, Protocol

from darkroom.errors import DarkroomError, DeviceLostError, WorkerError
from darkroom.render.attempts.ways_out import WaysOut
from darkroom.render.family import family
from darkroom.render.job import EncodeJob, Help, Job, SheetJob
from darkroom.render.worker.channel import Client
from darkroom.render.worker.door import Caller, Door, fail, say
from darkroom.render.worker.encode import encode_missing
from darkroom.render.worker.ending import Ending
from darkroom.render.worker.line import LEASE, Line
from darkroom.render.worker.message import Begin, Done, Failed, Lost, Message, Prewarm, Stop, Stopped
from darkroom.render.worker.owner import end_with
from darkroom.render.worker.slot import clear, name_here
from darkroom.render.worker.state import StateFile
from darkroom.request.request import Request

LOST_DEVICE = os.EX_TEMPFAIL  # exit status of a worker whose GPU has failed; 1 is that of any other internal error
_STOPPED = "told to end: the picture in hand is finished, others are left for another attempt"
_MOST_TOLD = 1000  # errors that are remembered
_GRACE = 60.0  # seconds that the picture in hand has after the owner has ended, where a SIGTERM came before
_PATIENCE = 10.0  # seconds; clients send as soon as they are connected, and read as soon as there is something

Asked = Job | SheetJob | EncodeJob
Render = Callable[[Asked, Client], None]


class Stopping(Exception):
    """Somebody wants this worker, or this job, to end: the other pictures are left."""


class Abandoned(Exception):
    """The client is gone: nobody waits for this combination any more."""


def serve(
    path: Path, owner: int, patience: float = _PATIENCE, user: int | None = None, log: Path | None = None
) -> None:
    """Serve combinations on the AF_UNIX socket at `path` until the owner ends.

    `patience`: seconds that a connection has to send its message, and to take an answer; `user`: whose processes are
    served, by default this one's; `log`: this worker's, beside which it says what it is doing.
    """
    # 1. Open the door first: clients connect at once and wait through the imports.
    door = Door(path, patience, os.getuid() if user is None else user)
    # 2. Live no longer than the owner, even in the middle of an image; and end when told to, after it.
    ending = Ending(door.close)
    end_with(owner, partial(_clean_up, owner, path.parent, ending))
    say(f"worker {os.getpid()}, owner {owner}")
    _work(door, ending, StateFile(log, log.stem if log else ""))


def serve_streams(lease: float = LEASE) -> None:
    """Serve whoever is at the other end of stdin and stdout, until nobody is."""
    outgoing = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is no message
    ending = Ending(lambda: None)
    line = Line(sys.stdin.fileno(), outgoing, partial(ending.wait, _GRACE), lease)
    begin = line.next_caller().message
    if not isinstance(begin, Begin):
        raise WorkerError(f"message: expected a beginning, got {type(begin).__name__.lower()}")
    say(f"worker {os.getpid()} on {name_here()}")
    _work(line, ending, StateFile(begin.log, name_here()))


class Callers(Protocol):
    """Where somebody asks: a Door, or a Line."""

    def next_caller(self) -> Caller: ...

    def close(self) -> None: ...


def _work(door: Callers, ending: Ending, said: StateFile) -> NoReturn:
    # 3. The heavy imports, once.
    from darkroom.render.combination import help_combination, render_combination
    from darkroom.render.device.environment import fix_threads, memory_in_use
    from darkroom.render.pipelines import Pipelines
    from darkroom.render.trials import render_trials

    gc.freeze()  # what was imported stays: each model's load looks for garbage, a quarter of a second in it
    fix_threads()
    pipelines, told = Pipelines(), dict[Asked, str]()
    said.keep_saying(partial(memory_in_use, pipelines.device))

    def render(job: Asked, client: Client) -> None:
        def at_step() -> None:
            said.step()
            _check(client, ending)

        def at_picture(request: Request | None) -> None:
            _stop_if_told(client, ending)
            said.note(**_of(request), rendered=pipelines.pace.rendered, seconds_each=pipelines.pace.seconds_per_image)

        ways_out = WaysOut(at_step, at_picture)
        if isinstance(job, Help):
            help_combination(job, pipelines, ways_out)
        elif isinstance(job, Job):
            render_combination(job, pipelines, client.send, ways_out)
        elif isinstance(job, EncodeJob):
            pipelines.let_go()  # a text encoder and a base are never in memory together
            encode_missing(job)
        else:
            render_trials(
                job.sheet,
                job.results,
                job.store,
                job.offload,
                pipelines=pipelines,
                report=client.send,
                ways_out=ways_out,
            )

    say(f"worker {os.getpid()} ready")
    # 4. One combination at a time; a client that is gone is noticed between denoising steps.
    while True:
        said.note(**_of(None), rendered=pipelines.pace.rendered, seconds_each=pipelines.pace.seconds_per_image)
        caller = door.next_caller()
        with caller.connection, ending.at_work():
            _serve_one(door, caller, render, told)


def _serve_one(door: Callers, caller: Caller, render: Render, told: dict[Asked, str]) -> None:
    """Do what somebody asks for, and answer.

    `told`: the error of each job that failed, so that a retry need not tell it at length again.
    """
    client, message = caller.client, caller.message
    try:
        _do(message, client, render)
    except (Abandoned, BrokenPipeError, ConnectionResetError):
        say("the client is gone; its combination is abandoned, finished images are kept")
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            client.send(Stopped("abandoned"))  # a relay waits for the end of it
    except Stopping:
        say(_STOPPED)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            client.send(Stopped(_STOPPED))
    except DeviceLostError as error:
        text = f"{error}. Finished images are kept; a retry goes on with a fresh worker"
        _end(door, client, Lost(text), LOST_DEVICE)
    except DarkroomError as error:  # whatever was asked for, the models stay loaded
        text, again = str(error), False
        if isinstance(message, Asked):
            again = told.pop(message, None) == text
            told[message] = text
            if len(told) > _MOST_TOLD:
                del told[next(iter(told))]
        fail(client, Failed(text, again))
    except Exception as error:  # a bug of ours or of a library: nothing here can be trusted any more
        say(traceback.format_exc())
        text = f"internal error: {type(error).__name__}: {error} (traceback in the worker's log)"
        _end(door, client, Failed(text), 1)


def _end(door: Callers, client: Client, why: Failed | Lost, status: int) -> NoReturn:
    """Say why, and end so that the next job gets a fresh worker: it may come as soon as this client has heard."""
    door.close()
    fail(client, why)
    os._exit(status)  # at once: a GPU that has failed turns torch's farewell into an abort


def _do(message: Message, client: Client, render: Render) -> None:
    match message:
        case Prewarm():
            family(message.family)
        case Job() | SheetJob() | EncodeJob():
            _enter(message.directory)
            render(message, client)
            client.send(Done())
        case _:
            raise WorkerError(f"message: expected a job or a prewarm, got {type(message).__name__.lower()}")


def _enter(directory: Path) -> None:
    """Count relative paths from here, as the client does."""
    if not directory.is_absolute():
        raise WorkerError(f"job.directory: expected an absolute path, got {directory}")
    try:
        os.chdir(directory)
    except OSError as error:
        raise WorkerError(f"job.directory: {directory}: {error.strerror}") from error


def _of(request: Request | None) -> dict[str, Any]:
    """What a WorkerState says of the picture in hand."""
    if request is None:
        return {"doing": "waiting", "picture": "", "step": 0, "steps": 0}
    title = request.title
    return {
        "doing": "rendering",
        "model": title.model,
        "lora": title.lora,
        "picture": title.image_name,
        "step": 0,
        "steps": request.sampling.sample_steps,
    }


def _check(client: Client, ending: Ending) -> None:
    if client.is_closed() and not ending.is_told:
        raise Abandoned


def _stop_if_told(client: Client, ending: Ending) -> None:
    if ending.is_told or isinstance(client.arrived(), Stop):
        raise Stopping


def _clean_up(owner: int, folder: Path, ending: Ending) -> None:
    """The owner has ended, so nobody comes any more."""
    ending.wait(_GRACE)
    clear(folder)
    say(f"owner {owner} has ended, so has worker {os.getpid()}")
