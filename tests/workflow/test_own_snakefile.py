"""The Snakefile of docs/snakefile.md, as printed: Darkroom's as a module, with a rule behind it."""

import re
import subprocess
import sys

from tests.machine.waiting import PATIENCE
from tests.places import REPOSITORY
from tests.workflow.project import Project

from darkroom import PROFILE

TEXT = (REPOSITORY / "docs/snakefile.md").read_text()
(SNAKEFILE,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
EXPERIMENT = """\
matrix: {model: demo, lora: [none, damaged], prompts: demo_loras, seed: 1, sample_steps: 2}
"""


def run(project: Project, *overrides: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--workflow-profile", str(PROFILE), "--config"]
    return subprocess.run(
        [*command, "experiment=strength", *overrides],
        cwd=project.folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def test_one_s_own_rule_waits_until_every_picture_is_there(project: Project) -> None:
    project.write("Snakefile", SNAKEFILE)
    project.write("conf/experiment/strength.yaml", EXPERIMENT)
    project.write("conf/lora/damaged.yaml", "loras: [damaged.safetensors]\n")
    project.write("damaged.safetensors", "not a weight file")

    failed = run(project)

    assert failed.returncode == 1
    assert {row["status"] for row in project.rows("strength") if row["lora"] == "damaged"} == {"failed"}
    assert (project.folder / "results/strength/report.html").is_file()
    assert not (project.folder / "public/index.html").exists()

    done = run(project, 'set=["matrix.lora=none"]')

    assert done.returncode == 0, done.stderr
    assert sorted(project.pictures("strength")) == [f"demo/none/demo_loras/00{index}_1_2.png" for index in (0, 1)]
    assert "<html" in (project.folder / "public/index.html").read_text()
