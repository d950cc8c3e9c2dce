"""Every import starts from a small project in an empty folder."""

from tests.examples.small_project import project

__all__ = ["project"]
