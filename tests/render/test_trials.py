"""A picture that is not its preview, explained: each planted factor is named. Real pictures of the tiny klein."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file, save_file
from tests.examples.record import read_record

from darkroom.checkpoint import Checkpoint, component_digest
from darkroom.errors import ImageError, NoRecordError, PictureError, StoreError
from darkroom.files.atomic import write_json
from darkroom.files.images.image_file import write_image
from darkroom.files.weight_file import sha256_of
from darkroom.names import Names
from darkroom.plan.trials.sheet import write_trials
from darkroom.planned import PlannedCombination
from darkroom.previews import DARKROOM, TRAINER, Preview, floors_file, previews_file, read_previews, write_previews
from darkroom.record.embedded import read_embedded_record
from darkroom.record.rows import Record, write_records
from darkroom.render import loop, trials
from darkroom.render.job import SheetJob
from darkroom.render.trials import render_trials
from darkroom.render.worker.client import render_sheet
from darkroom.request.parts import Lora
from darkroom.request.request import Request
from darkroom.review.explain import explain
from darkroom.review.pair.own_floor import add_floors, told
from darkroom.review.regress.compare import compare
from darkroom.review.regress.comparison import Comparison, read_comparisons
from darkroom.review.repeats import learn_floors, write_closer_sheet, write_sheet
from darkroom.store import ExperimentFolder
from darkroom.thresholds import ModelThresholds, write_thresholds
from darkroom.trials import CLOSER, Outcomes, Trial, TrialSheet, sheet_of

pytestmark = pytest.mark.slow  # real renders, for `make test`

RESULTS, PREVIEWS = Path("results"), previews_file("job")
THEN = ("prompt", "neg", "seed", "sample_steps", "guidance_scale", "lora_merge", "schedule", "numerics", "family")


class Desk:
    """A working directory with one planned picture of a LoRA's step 500, and its stored preview."""

    def __init__(self, klein: Checkpoint, make_request: Callable[..., Request], adapter: Path) -> None:
        parts = {
            part: replace(component, digest=component_digest(Path(component.path), component.layout, sha256_of))
            for part, component in klein.components.items()
        }
        checkpoint = replace(klein, components=parts)
        self.folder = ExperimentFolder(RESULTS / "job")
        write_json(self.folder.checkpoint("tiny_klein"), checkpoint.to_json())
        for step, strength in (("_000000250", 0.5), ("_000000500", 1.0), ("_000000750", 1.5), ("", 2.0)):
            write_step(adapter, Path(f"anna{step}.safetensors"), strength)
        self.request = make_request(
            experiment="job",
            lora="anna",
            prompt="sks a photo of a cat",
            prompt_template="[trigger] a photo of a cat",
            neg="blurry",
            trigger_word="sks",
            image_name="000_42",
            lora_merge="merged",
            loras=(lora("anna_000000500.safetensors"),),
            checkpoint_digest=checkpoint.digest,
            text_encoder_digest=checkpoint.text_encoder_digest,
        )

    def render(self, request: Request) -> Path:
        """A picture of this request, with the record of the planned one's names."""
        sheet = TrialSheet(
            name="test",
            checkpoint=str(self.folder.checkpoint("tiny_klein")),
            image_format="png",
            quality=100,
            threads=1,
            trials=(Trial("one", request),),
        )
        path = Path("planted") / request.request_id[:8] / "trials.json"
        sheet.write(path)
        (outcome,) = Outcomes.read(render_trials(path, RESULTS)).outcomes
        assert outcome.image is not None, outcome.error
        return Path(outcome.image)

    def plan(self, **then: Any) -> Path:
        """Render the picture, and put down what was asked for; `then`: what the preview's record says otherwise."""
        planned(self.request).write(self.folder.requests(Names("tiny_klein", "anna", "test")))
        return self.render(self.request)

    def preview(self, request: Request, ending: str = "png", **changes: Any) -> None:
        """Store this request's picture as the trainer's preview of the planned one, whose facts it claims."""
        path = Path("samples") / f"1__000000500_0.{ending}"
        path.parent.mkdir(exist_ok=True)
        with Image.open(self.render(request)) as image:
            image.convert("RGB").save(path)
            width, height = image.size
        known = self.request.row()
        then = {name: known[name] for name in THEN} | {"loras": [asdict(self.request.adapters.loras[0])]}
        row = Preview(
            model="tiny_klein",
            lora="anna",
            prompts="test",
            index=0,
            path=str(path),
            width=width,
            height=height,
            origin=TRAINER,
            step=500,
            then={**then, **changes},
        )
        write_previews(previews_file("job"), "job", [row])


def planned(request: Request) -> PlannedCombination:
    output = {"format": "png", "quality": 95}
    return PlannedCombination(asked="", lost="", output=output, lora_merge="auto", requests=(request,))


def write_step(adapter: Path, path: Path, strength: float) -> None:
    """A checkpoint of which nothing is known but that it does more or less."""
    tensors = load_file(adapter)
    save_file({key: t * strength if "lora_B" in key else t for key, t in tensors.items()}, path)


def lora(path: str, strength: float = 1.0) -> Lora:
    return Lora(path, strength, sha256_of(Path(path)))


@pytest.fixture(scope="module")
def desk(klein: Checkpoint, adapters: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    from tests.render.conftest import REQUEST

    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("desk"))
    yield Desk(klein, REQUEST.changed, adapters / "lora_fp32.safetensors")
    os.chdir(before)


def explained(image: Path) -> list[str]:
    """The lines after the part about records, from planning over rendering to the table."""
    text = explain(image, render_trials(write_trials(image, RESULTS), RESULTS), RESULTS)
    return text.split("\n\n", 2)[2].splitlines()


@pytest.mark.parametrize(
    ("planted", "named"),
    [
        ({"schedule": "diffusers"}, "Closest: schedule: diffusers, from "),
        ({"schedule": "diffusers", "as": "jpg"}, "Closest: schedule: diffusers, from "),
        ({"seed": 43}, "Closest: seed: 43, from "),
        ({"sample_steps": 5}, "Closest: sample_steps: 5, from "),
        ({"neg": ""}, 'Closest: neg: "", from '),
        ({"prompt": "[trigger] a photo of a cat"}, "Closest: [trigger] left in the prompt, from "),
        ({"strength": 0.9, "as": "jpg"}, "Closest: network_multiplier: 0.9, from "),
        ({"step": "anna_000000250.safetensors"}, "Closest: LoRA anna_000000250.safetensors, from "),
    ],
)
def test_a_planted_factor_that_no_record_shows_is_named(desk: Desk, planted: dict[str, Any], named: str) -> None:
    image, changes = desk.plan(), dict(planted)
    ending = changes.pop("as", "png")
    if "strength" in changes:
        changes = {"loras": (lora("anna_000000500.safetensors", changes["strength"]),)}
    elif "step" in changes:
        changes = {"loras": (lora(changes["step"]),)}
    desk.preview(desk.request.changed(**changes), ending)
    first, *rest = explained(image)
    assert first.startswith(named)
    assert first.endswith(" to identical.")
    assert rest[0].startswith("  in conf/: ")
    assert [line.split()[0] for line in rest if line.startswith("     ")][:3] == ["PSNR", rest_psnr(rest), "identical"]


def rest_psnr(lines: list[str], factor: str = "as it is") -> str:
    """The first number in the table's line of a factor."""
    return next(line.split()[0] for line in lines if line.endswith(f"  {factor}"))


def test_what_is_recorded_otherwise_is_set_back_first(desk: Desk) -> None:
    image = desk.plan()
    desk.preview(desk.request.changed(seed=77, sample_steps=6), seed=77, sample_steps=6)
    text = explain(image, render_trials(write_trials(image, RESULTS), RESULTS), RESULTS)
    assert "    seed:                   77 → 42\n" in text
    assert "    sample_steps:           6 → 4\n" in text
    assert "\nClosest: all that is recorded otherwise, at once, from " in text
    assert "sample_steps: 6 in conf/prompts/test.yaml, prompt 0" in text
    assert "  the trainer does not record " in text


def test_of_factors_that_make_the_same_picture_all_are_named(desk: Desk) -> None:
    """In float32 on the CPU a LoRA at half its strength is the checkpoint whose weights are half as large."""
    image = desk.plan()
    write_step(Path("anna_000000500.safetensors"), Path("anna_000000499.safetensors"), 0.5)
    desk.preview(desk.request.changed(loras=(lora("anna_000000500.safetensors", 0.5),)))
    lines = explained(image)
    Path("anna_000000499.safetensors").unlink()
    assert lines[0].startswith("Closest: LoRA anna_000000499.safetensors, from ")
    assert lines[2:4] == [
        "As close, so that pictures cannot tell them apart:",
        "  network_multiplier: 0.5 (identical): network_multiplier: 0.5 in conf/lora/anna.yaml",
    ]


def test_a_picture_that_none_explains(desk: Desk) -> None:
    image = desk.plan()
    desk.preview(desk.request.changed(seed=4711, prompt="a house"))
    first, second, *_ = explained(image)
    assert first.startswith("None of the ")
    assert second == "What was not recorded remains: versions, the GPU and its kernels, other weights."


def test_a_picture_that_needs_no_explanation(desk: Desk) -> None:
    image = desk.plan()
    desk.preview(desk.request, "jpg")
    text = explain(image, render_trials(write_trials(image, RESULTS), RESULTS), RESULTS)
    assert "  identical before encoding: every pixel is equal, encoded as JPEG quality 75, 4:2:0\n" in text
    assert "\nThe picture is the preview's as it is: there is nothing to explain.\n" in text


def test_another_size_is_tried_first_and_all_others_at_it(desk: Desk) -> None:
    image = desk.plan()
    desk.preview(desk.request.changed(width=96, height=32, schedule="diffusers"))
    path = write_trials(image, RESULTS)
    sheet = TrialSheet.read(path)
    assert {(trial.request.sampling.width, trial.request.sampling.height) for trial in sheet.trials[1:]} == {(96, 32)}
    replace(sheet, trials=sheet.trials[:3]).write(path)
    lines = explain(image, render_trials(path, RESULTS), RESULTS).split("\n\n", 2)[2].splitlines()
    there = rest_psnr(lines, "as it is, at the preview's size")
    assert lines[:3] == [
        f"The preview has another size. At that size the picture as it is: {there} dB; all else is tried at it.",
        "  in conf/: width: 96, height: 32 in conf/prompts/test.yaml, prompt 0",
        f"Closest: schedule: diffusers, from {there} dB to identical.",
    ]
    assert lines[-1] == "  as it is: its size is 64x64, the preview's 96x32"


def test_at_another_size_a_factor_has_to_gain_too(desk: Desk) -> None:
    image = desk.plan()
    desk.preview(desk.request.changed(width=96, height=32, seed=4711, prompt="a house"))
    path = write_trials(image, RESULTS)
    sheet = TrialSheet.read(path)
    replace(sheet, trials=sheet.trials[:3]).write(path)
    lines = explain(image, render_trials(path, RESULTS), RESULTS).split("\n\n", 2)[2].splitlines()
    assert lines[2].startswith("None of the 1 that were tried explains it: the closest, schedule: diffusers, ")


@pytest.mark.parametrize(("where", "stage"), [(trials, "encode"), (loop, "queue_picture")])
def test_what_a_library_refuses_is_said_and_the_others_are_rendered(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, where: ModuleType, stage: str
) -> None:
    real = getattr(where, stage)

    def refusing(*arguments: Any) -> Any:
        encoders = (each.encoder if isinstance(each, Request) else each for each in arguments)
        if any(encoder == refused.encoder for encoder in encoders):
            raise NotImplementedError("no kernel for this\nand a trace of C++")
        return real(*arguments)

    desk.plan()
    first, refused, last = desk.request, desk.request.changed(attn_masking=True), desk.request.changed(seed=5)
    sheet = TrialSheet(
        name="test",
        checkpoint=str(desk.folder.checkpoint("tiny_klein")),
        image_format="png",
        quality=100,
        threads=1,
        trials=(Trial("as it is", first), Trial("masked", refused), Trial("seed: 5", last)),
    )
    sheet.write(Path(stage, "trials.json"))
    monkeypatch.setattr(where, stage, refusing)
    outcomes = Outcomes.read(render_trials(Path(stage, "trials.json"), RESULTS, Path(stage, "store"))).outcomes
    assert [(each.image is not None, each.error) for each in outcomes] == [
        (True, None),
        (False, "NotImplementedError: no kernel for this"),
        (True, None),
    ]


def test_an_interrupt_ends_the_trials(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    desk.plan()
    monkeypatch.setattr(loop, "queue_picture", interrupted)
    with pytest.raises(KeyboardInterrupt):
        desk.render(desk.request.changed(seed=6))


def test_what_cannot_be_tried_is_said(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    image = desk.plan()
    desk.preview(desk.request.changed(seed=43), quantize_transformer="float8")
    lines = explained(image)
    assert "  quantize_transformer: float8, as recorded: not built" in lines
    assert any(line.startswith("  noise_device: cuda: there is no GPU here") for line in lines)


def test_a_second_time_nothing_is_rendered(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    image = desk.plan()
    desk.preview(desk.request.changed(schedule="diffusers"))
    first = explained(image)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("darkroom.render.loop.queue_picture", None)
    again = explained(image)
    assert again == first
    pictures = sorted(file.name for file in (RESULTS / "job/explain/tiny_klein/anna/test/000_42").glob("*.png"))
    assert pictures[:2] == ["00_as_it_is.png", "01_schedule_diffusers.png"]


def test_an_accepted_jpeg_is_tried_as_one(desk: Desk) -> None:
    image = desk.plan()
    desk.preview(desk.request, "jpg")
    (row,) = read_previews(previews_file("job"))
    accepted = replace(row, origin=DARKROOM, accepted_by="anna", accepted_at="2026-01-02", accepted_because="drifted")
    write_previews(previews_file("job"), "job", [accepted])
    sheet = TrialSheet.read(write_trials(image, RESULTS))
    assert (sheet.image_format, sheet.quality) == ("jpeg", 95)
    assert "  accepted by anna, 2026-01-02; it was: drifted\n" in explain(image, results=RESULTS)


def test_another_machine_is_said_before_all_else_that_differs(desk: Desk) -> None:
    image = desk.plan()
    desk.preview(desk.request, processor="Intel(R) Xeon(R) Platinum 8480+", sample_steps=25)
    told = explain(image, results=RESULTS).splitlines()
    said = "  rendered on another machine, which rounds otherwise: a small distance may be that alone"
    first = told.index(said)
    assert told[first + 1] == "  recorded otherwise:"
    assert told[first + 2].startswith("    processor:              Intel(R) Xeon(R) Platinum 8480+ → ")
    assert told[first + 3].startswith("    sample_steps:           25 → ")


def test_of_several_previews_the_latest_that_can_be_reproduced_is_tried(desk: Desk) -> None:
    image = desk.plan()
    desk.preview(desk.request)
    (row,) = read_previews(previews_file("job"))
    for name in ("early", "late", "latest"):
        Path(f"samples/{name}.png").write_bytes(Path(str(row.path)).read_bytes())
    rows = [
        replace(row, path="samples/early.png", made_at="2026-01-01T00:00:00Z", trainer="ai-toolkit 0.8.1"),
        replace(row, path="samples/late.png", made_at="2026-01-02T00:00:00Z"),
        replace(row, path="samples/latest.png", made_at="2026-01-03T00:00:00Z", reason="the configuration is newer"),
    ]
    write_previews(previews_file("job"), "job", rows)
    assert TrialSheet.read(write_trials(image, RESULTS)).preview == "samples/late.png"
    assert TrialSheet.read(write_trials(image, RESULTS, Path("samples/early.png"))).preview == "samples/early.png"
    text = explain(image, results=RESULTS)
    assert "not reproducible: the configuration is newer, every pixel is equal" in text
    assert text.count("\nagainst ") == 3
    picked = explain(image, results=RESULTS, preview=Path("samples/../samples/early.png"))
    assert [line for line in picked.splitlines() if line.startswith("against ")] == [
        "against samples/early.png (ai-toolkit 0.8.1, step 500, made 2026-01-01T00:00:00Z)"
    ]
    not_one = (
        r"--preview samples/other\.png: not a stored preview of 000_42; .* has samples/early\.png, samples/late\.png"
    )
    for tell in (lambda path: explain(image, results=RESULTS, preview=path), partial(write_trials, image, RESULTS)):
        with pytest.raises(StoreError, match=not_one):
            tell(Path("samples/other.png"))


def test_a_strangers_picture_leads_nowhere_else(desk: Desk) -> None:
    image = desk.plan()
    record = read_record(image) | {"experiment": "../elsewhere"}
    write_image(Path("evil.png"), np.zeros((64, 64, 3), np.uint8), record, "png", 100)
    for tell in (lambda path: explain(path, results=RESULTS), lambda path: write_trials(path, RESULTS)):
        with pytest.raises(ImageError, match=r"evil\.png: its record says experiment '\.\./elsewhere'"):
            tell(Path("evil.png"))


def test_a_picture_that_is_no_longer_asked_for(desk: Desk) -> None:
    image = desk.plan()
    desk.preview(desk.request)
    desk.request = desk.request.changed(seed=99)
    desk.plan()
    desk.request = desk.request.changed(seed=42)
    with pytest.raises(StoreError, match=r"experiment job does not ask for this picture any more; run Snakemake again"):
        write_trials(image, RESULTS)


def test_a_preview_that_is_gone(desk: Desk) -> None:
    image = desk.plan()
    desk.preview(desk.request)
    Path("samples/1__000000500_0.png").unlink()
    with pytest.raises(StoreError, match=r"expected a stored picture for 000_42, got: samples/1__000000500_0.png"):
        write_trials(image, RESULTS)
    assert "missing preview: samples/1__000000500_0.png: no such file" in explain(image, results=RESULTS)


def record_of(image: Path, request: Request) -> Record:
    """The manifest's row of a picture."""
    record = replace(read_embedded_record(image), request=request)
    return Record(**vars(record), image_path=str(image), image_sha256="", image_format="png", reused=False, cost=None)


class TestRepeats:
    """A picture in bfloat16 whose preview has another seed."""

    def sheet(self, desk: Desk) -> Path:
        picture = desk.request.changed(dtype="bfloat16")
        floors_file("job").unlink(missing_ok=True)  # of another test, as is what was looked at closer
        shutil.rmtree(desk.folder.root / CLOSER, ignore_errors=True)
        write_records(desk.folder.manifest, [record_of(desk.render(picture), picture)], {"experiment": "job"})
        write_json(desk.folder.contents, {"experiment": "job", "combinations": [["tiny_klein", "anna", "test", 1, 0]]})
        planned(picture).write(desk.folder.requests(Names("tiny_klein", "anna", "test")))
        thresholds = {"tiny_klein": ModelThresholds(source="conf/compare/default.yaml", own_floor=1.0)}
        write_thresholds(desk.folder.thresholds, thresholds)
        desk.preview(picture.changed(seed=7))
        assert write_sheet(desk.folder, "tiny_klein", PREVIEWS) == 1
        return sheet_of(desk.folder.root, "tiny_klein")

    def test_repeats_tell_the_own_floor_which_a_second_night_knows(self, desk: Desk) -> None:
        sheet = self.sheet(desk)
        (outcome,) = Outcomes.read(rendered(sheet)).outcomes
        assert outcome.repeats == tuple(
            f"{sheet.parent}/repeats/00_anna_test_000_42_{number}.png" for number in (1, 2, 3, 4)
        )
        with pytest.raises(NoRecordError, match="a picture without a Darkroom record"):
            read_record(Path(outcome.repeats[0]))
        (floor,) = learn_floors(desk.folder, PREVIEWS).known.values()
        assert all(35 < (each.psnr or 99) < 60 for each in floor.repeats)
        assert (floor.encoding, floor.environment.device) == (None, "cpu")
        assert f"its own floor: {told(floor.repeats)}" in " ".join(explain(Path(str(outcome.image))).split())
        assert write_sheet(desk.folder, "tiny_klein", PREVIEWS) == 0
        assert Outcomes.read(rendered(sheet)).outcomes == (), "nothing is rendered"
        assert list(learn_floors(desk.folder, PREVIEWS).known.values()) == [floor]

    def test_a_picture_that_four_leave_in_doubt_is_looked_at_closer(self, desk: Desk) -> None:
        """Its four are made up, 6 dB nearer than the preview; sixteen are rendered."""
        rendered(self.sheet(desk))
        file = floors_file("job")
        (floor,) = learn_floors(desk.folder, PREVIEWS).known.values()
        (row,) = compared(desk)
        near = tuple(replace(each, psnr=(row.psnr or 0) + 6.0) for each in floor.repeats)
        file.unlink()
        add_floors(file, "job", [replace(floor, repeats=near)])
        assert compared(desk)[0].verdict == "drifted"
        assert write_closer_sheet(desk.folder, "tiny_klein", PREVIEWS) == 1
        (outcome,) = Outcomes.read(rendered(sheet_of(desk.folder.root, "tiny_klein", CLOSER))).outcomes
        assert len(outcome.repeats) == 16
        (known,) = learn_floors(desk.folder, PREVIEWS).known.values()
        assert known.repeats[:4] == floor.repeats, "the same four, and twelve more"
        assert len(compared(desk)[0].repeats) == 16
        assert write_closer_sheet(desk.folder, "tiny_klein", PREVIEWS) == 0, "no closer than that"

    def test_repeats_that_fail_are_told_of_in_the_verdict(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        def refused(*_: Any, **__: Any) -> None:
            raise PictureError("denoising ended in NaN")

        sheet = self.sheet(desk)
        monkeypatch.setattr(trials, "nudged_repeats", refused)
        rendered(sheet)
        (row,) = compared(desk)
        assert row.verdict == "drifted"
        assert str(row.reason).endswith("its nudged repeats failed: denoising ended in NaN")

    def test_a_picture_of_another_machine_is_not_repeated_on_this(self, desk: Desk) -> None:
        sheet = self.sheet(desk)
        replace(TrialSheet.read(sheet), threads=2).write(sheet)
        (outcome,) = Outcomes.read(rendered(sheet)).outcomes
        said = "the picture was rendered elsewhere (threads 1 there, 2 here); --fresh renders both here"
        assert outcome.error == said


def compared(desk: Desk) -> list[Comparison]:
    compare(desk.folder.manifest, PREVIEWS, desk.folder.thresholds, Path("c"), learn_floors(desk.folder, PREVIEWS))
    return read_comparisons(Path("c"))[0]


def rendered(sheet: Path) -> Path:
    """A sheet, rendered by the command that Snakemake's rule calls: in this process, which is no run's."""
    job = SheetJob(directory=Path.cwd(), sheet=sheet, results=RESULTS, store=RESULTS / "store")
    return render_sheet(job, Path("worker.log"))
