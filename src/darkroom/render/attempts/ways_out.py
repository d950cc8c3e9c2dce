"""Where a pass through pictures may be left before its end."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class WaysOut:
    """Called, and may raise: `at_step` after each denoising step, `at_picture` before each picture; what is finished
    stays. Both while another process's picture is waited for.
    """

    at_step: Callable[[], None] = lambda: None
    at_picture: Callable[[], None] = lambda: None

    def both(self) -> None:
        self.at_step()
        self.at_picture()


NONE = WaysOut()
