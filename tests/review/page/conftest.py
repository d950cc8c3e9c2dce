"""An import's pages as a browser opens them: three checkpoints of a training, two prompts, previews that differ."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from tests.examples.record import LORA, record
from tests.review.renders import REQUEST, THRESHOLDS, picture

from darkroom.files.content import sha256_in
from darkroom.files.images.image_file import write_image
from darkroom.previews import TRAINER, Preview
from darkroom.record.rows import Failure, Record, write_records
from darkroom.request.parts import Lora
from darkroom.review.regress.compare import compare_all
from darkroom.review.regress.comparison import write_comparisons
from darkroom.review.regress.on_sheet import write_sheet_verdicts
from darkroom.review.regress.regress_page import write_regress_page
from darkroom.review.sheet.report import write_report

STEPS = (250, 500, 1000)
PROMPTS = ("a photo of sks, at dawn", "a photo of sks, in a red coat")
CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(scope="session")
def pages(tmp_path_factory):
    """The folder of an experiment with report.html and regress.html; the last checkpoint's second picture failed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("import"))
        rows, previews = zip(*(rendered(step, index) for step in STEPS for index in (0, 1)), strict=True)
        folder = Path("results/job")
        write_records(folder / "manifest.parquet", rows, {})
        found = compare_all("job", rows, [each for each in previews if each], {"demo": THRESHOLDS})
        write_comparisons(folder / "compare.parquet", found, {})
        write_regress_page(folder / "compare.parquet", folder / "regress.html")
        write_sheet_verdicts(folder / "compare.parquet", folder / "manifest.parquet", folder / "verdicts.js")
        write_report(folder / "manifest.parquet", folder / "report.html")
        return folder.absolute()


def rendered(step: int, index: int):
    """A row of the manifest and the trainer's preview of it: farther away the later, and of the first prompt alone."""
    lora = f"job_{step:09}"
    request = REQUEST.changed(
        **{"lora": lora, "loras": (Lora(f"{lora}.safetensors", 1.0, f"{step:064}"),), "width": 64, "height": 48},
        **{"prompts": "job", "index": index, "image_name": f"{index:04}_{42 + index}", "seed": 42 + index},
        **{"prompt": PROMPTS[index], "prompt_template": PROMPTS[index], "warnings": (), "not_comparable": ()},
    )
    if (step, index) == (1000, 1):
        return Failure.of(request, "out of memory"), None
    path = Path(f"results/job/images/{lora}/{request.title.image_name}.png")
    use = replace(LORA, path=f"{lora}.safetensors", network_multiplier=1.0)
    made: Record = record(request, (use,), image_path=str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    row = replace(made, image_sha256=sha256_in(write_image(path, picture(index * 40), made.to_json(), "png", 90)))
    return row, preview(row, step) if index == 0 else None


def preview(row: Record, step: int) -> Preview:
    path = Path(f"samples/1700000000000__{step:09}_0.png")
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(picture(0 if step == 250 else 60)).save(path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return Preview(**vars(row.key), path=str(path), sha256=sha256, origin=TRAINER, step=step, then={"seed": 42})


@pytest.fixture(scope="session")
def browser():
    """One for all: a browser takes a second to start."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.exists():
        pytest.skip(f"no browser: {CHROMIUM} is not there (apt-get install chromium)")
    with sync_api.sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture
def opened(browser, pages):
    """Opens a page of the experiment in a window of its own; a fault of the page's script fails the test."""
    contexts, faults = [], []

    def open_page(name="report.html", fragment="", width=1440, height=900, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(5_000)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(f"{(pages / name).as_uri()}{fragment}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []
