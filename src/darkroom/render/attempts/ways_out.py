"""Where a render loop may be left before all its pictures are made."""

from collections.abc import Callable
from dataclasses import dataclass

from darkroom.request.request import Request


@dataclass(frozen=True)
class WaysOut:
    """Called, and may raise: `at_step` after each denoising step, `at_picture` with each picture before it is begun.

    What is finished stays. Both are called, of no picture, while another process's is waited for.
    """

    at_step: Callable[[], None] = lambda: None
    at_picture: Callable[[Request | None], None] = lambda request: None

    def while_waiting(self) -> None:
        self.at_picture(None)
        self.at_step()


NONE = WaysOut()
