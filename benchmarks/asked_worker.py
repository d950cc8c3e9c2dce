"""One job, asked of a worker as Snakemake's jobs do, and waited for."""

import contextlib
import socket
import time
from pathlib import Path

from darkroom.render.job import Job
from darkroom.render.progress import Progress
from darkroom.render.worker.channel import Channel
from darkroom.render.worker.message import Done


def ask(path: Path, job: Job) -> None:
    """`path`: of its socket, which may have yet to open. Ends the script where the job fails."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        while True:
            with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
                connection.connect(str(path))
                break
            time.sleep(0.05)
        worker = Channel(connection)
        worker.send(job)
        while isinstance(answer := worker.receive(), Progress):
            pass
    if not isinstance(answer, Done):
        raise SystemExit(f"{job.requests}: {answer}")
