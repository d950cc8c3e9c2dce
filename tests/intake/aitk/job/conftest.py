"""Jobs are imported in an empty folder beside the base model that they name as `klein`."""

from pathlib import Path

import pytest
from tests.examples.job_folder import KLEIN
from tests.intake.aitk.job.importing import ENCODER


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder with the base model that jobs name as `klein`."""
    monkeypatch.chdir(tmp_path)
    Path("klein").symlink_to(KLEIN)
    Path(ENCODER).symlink_to(KLEIN / "qwen3")
