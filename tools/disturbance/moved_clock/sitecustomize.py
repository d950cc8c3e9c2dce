"""Sets a program's clock so many seconds (MOVED_CLOCK) on or back, some seconds (MOVED_AFTER) after it has begun.

On the path of Python's programs, which import it as they begin.
"""

import os
import time

_time, _time_ns, _monotonic = time.time, time.time_ns, time.monotonic
_moves_at = _monotonic() + float(os.environ["MOVED_AFTER"])
_shift = int(os.environ["MOVED_CLOCK"])

time.time = lambda: _time() + (_shift if _monotonic() > _moves_at else 0)
time.time_ns = lambda: _time_ns() + (_shift * 10**9 if _monotonic() > _moves_at else 0)
