"""Where the repository and the tests' data lie, for tests wherever they are."""

from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
DATA = REPOSITORY / "tests/data"
