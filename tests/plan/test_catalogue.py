"""docs/models.md against conf/model: the table says what the files say."""

import pytest
from tests.places import REPOSITORY as ROOT

from darkroom.plan.conf.families import FAMILIES
from darkroom.plan.conf.schema import CheckpointSource, Model
from darkroom.plan.load import load_experiment

IDS = sorted(file.stem for file in (ROOT / "conf" / "model").glob("*.yaml") if file.stem != "demo")


def table(text: str) -> list[dict[str, str]]:
    """The rows of the Markdown table that begins with the column `id`, by the names of its columns."""
    lines = text[text.index("| id |") :].split("\n\n")[0].splitlines()
    heads, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [dict(zip(heads, row, strict=True)) for row in rows]


ROWS = {row["id"].strip("`"): row for row in table((ROOT / "docs" / "models.md").read_text(encoding="utf-8"))}


@pytest.fixture(scope="module")
def models() -> dict[str, Model]:
    overrides = [f"matrix.model=[{','.join(IDS)}]", "matrix.lora=[none]", "matrix.prompts=[demo_loras]", "exclude=[]"]
    return dict(load_experiment("demo", [ROOT / "conf"], overrides).models)


def documented(source: CheckpointSource, part: str) -> str:
    return getattr(source, part) or f"{part}/"


def test_each_model_has_a_row():
    assert sorted(ROWS) == IDS


@pytest.mark.parametrize("name", IDS)
def test_a_row_says_what_the_file_says(models, name):
    model, row = models[name], ROWS[name]
    source, defaults = model.checkpoint, model.defaults
    texts = ", ".join(documented(source, part) for part in FAMILIES[model.family].text_encoders)
    assert {key: row[key] for key in ("repository", "transformer", "vae", "text encoder")} == {
        "repository": source.repo,
        "transformer": documented(source, "transformer"),
        "vae": documented(source, "vae"),
        "text encoder": texts,
    }
    assert (row["width x height"], int(row["seed"])) == (f"{defaults.width}x{defaults.height}", defaults.seed)
    assert (int(row["sample_steps"]), float(row["guidance_scale"])) == (defaults.sample_steps, defaults.guidance_scale)
    assert (int(row["divisor"]), row["guidance"]) == (model.resolution_divisor, model.guidance)
    seen = len(FAMILIES[model.family].reference_keys)
    # ctrl_img and ctrl_img_1 are one and the same to FLUX.2.
    assert row["reference images"] == {0: "none", 1: "1", 4: "3"}[seen]


@pytest.mark.parametrize("name", IDS)
def test_the_licence_is_in_the_file_too(name):
    said = (ROOT / "conf" / "model" / f"{name}.yaml").read_text(encoding="utf-8")
    licence = ROWS[name]["licence of the weights"]
    assert ("Licence: Apache-2.0" in said) is (licence == "Apache-2.0")
    assert ("gated" in said, "non-commercial" in said) == ("gated" in licence, "non-commercial" in licence)


@pytest.mark.parametrize("place", ["conf/experiment", "previews"])
def test_experiments_of_darkrooms_own_leave_other_names_to_its_users(place):
    assert all(path.stem.split("_")[0] == "demo" for path in (ROOT / place).iterdir())
