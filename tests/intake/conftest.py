"""Every import starts from a small project in an empty folder."""

from tests.small_project import project

__all__ = ["project"]
