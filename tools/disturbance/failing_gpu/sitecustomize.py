"""Gives a worker a device that fails, at the point whose number the first line of the file FAILING_GPU has.

On the path of Python's programs, which import it as they begin; the next worker takes the next line.
"""

import os
import sys
from pathlib import Path

if "worker" in sys.orig_argv:
    _failures = Path(os.environ["FAILING_GPU"])
    _first, _, _rest = _failures.read_text().partition("\n")
    _failures.write_text(_rest)
    if _first:
        import torch

        from darkroom.render.device import stream

        _point, _given = stream.HostStream.point, iter(range(10**9))

        def point(self: stream.HostStream) -> stream.Event:
            if next(_given) >= int(_first):
                raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered\nCompile with …")
            return _point(self)

        stream.HostStream.point = point  # type: ignore[method-assign]
