"""A device that fails under a real worker: what the job is told, how the worker ends, and whether the next one serves.

On a GPU a kernel reads out of bounds, which poisons the process's context; on a CPU, which cannot fail so, the worker
is told that it had.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from asked_worker import a_job, answer_to, with_digests
from figures import Row, Setting
from random_flux2 import write_model

from darkroom.render.worker.message import Done, Lost
from darkroom.render.worker.server import LOST_DEVICE

_PART = "lost device"
_SOURCES = Path(__file__).parents[1] / "src"
_SERVE = """
import pathlib, sys
from darkroom.render.worker.server import serve
serve(pathlib.Path(sys.argv[1]), int(sys.argv[2]))
"""
# Before the first picture's last point: all of it is on its way by then.
_FAIL = """
import torch
from darkroom.render.device import stream

kind, given = (stream.CudaStream if torch.cuda.is_available() else stream.HostStream), []
point = kind.point

def failing(self):
    given.append(self)
    if len(given) == 4 and not torch.cuda.is_available():
        raise torch.AcceleratorError("CUDA error: device-side assert triggered")
    if len(given) == 4:
        torch.zeros(2, device="cuda")[torch.tensor([5], device="cuda")]
    return point(self)

kind.point = failing
"""


def lost_device(setting: Setting) -> Iterator[Row]:
    """What a job hears, how its worker ends, and whether the next one, and this process, have the device as before."""
    job = a_job(
        setting.folder / "lost", with_digests(write_model(setting.folder / "lost/base_0", "tiny", torch.device("cpu")))
    )
    for number, (program, ending) in enumerate(((_FAIL + _SERVE, LOST_DEVICE), (_SERVE, None))):
        path = setting.folder / f"{number}.sock"
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(_SOURCES), os.environ.get("PYTHONPATH", "")))}
        with subprocess.Popen(
            [sys.executable, "-c", program, str(path), str(os.getpid())], stderr=subprocess.DEVNULL, env=environment
        ) as worker:
            answer = answer_to(path, job)
            if ending is None:
                yield Row(_PART, "the next worker", str(answer), is_good=answer == Done())
                worker.kill()
                continue
            said = answer.text if isinstance(answer, Lost) else str(answer)
            yield Row(_PART, "what the job is told", said, is_good=said.startswith("the GPU failed: "))
            yield Row(_PART, "exit status of its worker", worker.wait(), is_good=worker.returncode == ending)
    is_well = torch.equal(torch.ones(4, device=setting.device).cpu(), torch.ones(4))
    yield Row(_PART, "this process computes on", "yes" if is_well else "no", is_good=is_well)
