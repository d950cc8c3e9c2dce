"""The table of what is fuzzed: of each format how a file is changed, who reads it, and what that must come to.

A reader gives a result, or raises one of the errors that its line names; the texts of both are fit for a terminal.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from darkroom import errors
from darkroom.base_files.stored_weights import stored_weights
from darkroom.errors import DarkroomError
from darkroom.files.images.reference import read_image_header, read_reference
from darkroom.job_errors import read_job_error
from darkroom.named_picture import read_render
from darkroom.plan.trials.as_conf import as_conf
from darkroom.planned import Contents, PlannedCombination, PlannedModel
from darkroom.previews import read_previews
from darkroom.record.rows import read_rows
from darkroom.review.pair.picture_file import read_picture
from darkroom.review.regress.comparison import read_comparisons
from darkroom.review.show import show
from darkroom.thresholds import read_thresholds
from fuzzing import corpus, readers
from fuzzing.formats import gguf_changed, picture_changed, safetensors_changed, table_changed
from fuzzing.mutators import Mutator, json_changed, text_changed, xml_changed, yaml_changed


@dataclass(frozen=True)
class Target:
    """One format. `file`: its name in the folder that is worked in; `share`: of the rounds, where reading is slow."""

    name: str
    file: str
    corpus: Callable[[], Sequence[bytes]]
    change: Mutator
    readers: Sequence[Callable[[Path], object]]
    refusals: tuple[type[DarkroomError], ...]
    share: float = 1.0


_RECORD = picture_changed(
    (b"iTXtdarkroom\0\0\0\0\0", json_changed),
    (b"iTXtXML:com.adobe.xmp\0\0\0\0\0", xml_changed),
    (b"\xff\xe1http://ns.adobe.com/xap/1.0/\0", xml_changed),
    (b"XMP ", xml_changed),
)
_YAML = yaml_changed(
    *[
        "&",
        "*",
        "<<:",
        "?",
        "-",
        ":",
        "|",
        ">",
        "---",
        "...",
        "{",
        "}",
        "[",
        "]",
        "#",
        "'",
        '"',
        "defaults:",
        "2026-01-01",
        "!!binary",
        "!!python/object/apply:os.system",
    ],
    *["1..8", "0.5..1.0:0.1", "1..999999999", "${lora.trigger_word}", "${darkroom.folder}", "${.x}", "${oc.decode:1}"],
    "a: &a [x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a]\n",
)
_PROMPTS = text_changed(
    *["--w", "--h", "--d", "--s", "--n", "--m", "--", "64", "-1", "1e9", "[trigger]", "<lora:a:1>", "#", ",", '"'],
    "--ctrl_img /dev/zero",
    "\t",
)
_TEMPLATE = text_changed(
    *["{", "|", "}", "$$", "2$$", "-1$$", "9-1$$", "0.5::", "1e9::", "__colour__", "__../x__", "__*__", "#", "\\{"],
)
_STORED = (errors.StoreError, errors.VersionError)
_CONFIG = (errors.ConfigError,)
_REQUEST = json.loads((corpus.REPOSITORY / "tests/data/record/request.json").read_text(encoding="utf-8"))


def _texts(name: str, file: str, text: str, change: Mutator, reader: Callable[[Path], object]) -> Target:
    return Target(name, file, lambda: [text.encode()], change, [reader], _CONFIG)


def _conf(file: str) -> Target:
    name = f"conf: {file.removeprefix('conf/').partition('/')[0].removesuffix('.yaml')}"
    return Target(name, file, lambda: [readers.CONF[file].encode()], _YAML, [readers.experiment], _CONFIG, 0.05)


def _table(name: str, file: str, reader: Callable[[Path], object]) -> Target:
    whole = corpus.REPOSITORY / file
    return Target(name, whole.name, lambda: [whole.read_bytes()], table_changed, [reader], _STORED)


def _planned(name: str, reader: Callable[[Path], object], /, **values: object) -> Target:
    content = json.dumps(values).encode()
    return Target(f"planned: {name}", "p.json", lambda: [content], json_changed, [reader], (errors.StoreError,))


TARGETS = (
    Target(
        "adapter",
        "a.safetensors",
        corpus.adapters,
        safetensors_changed,
        [readers.lora_in_full, readers.lora_in_a_table],
        (errors.WeightFileError, errors.AdapterError),
    ),
    Target(
        "weights",
        "w.safetensors",
        corpus.adapters,
        safetensors_changed,
        [stored_weights, readers.scales],
        (errors.WeightFileError, errors.CheckpointError, errors.AdapterError),
    ),
    Target(
        "GGUF",
        "w.gguf",
        corpus.gguf,
        gguf_changed,
        [readers.gguf_kinds, readers.gguf_encoder],
        (errors.WeightFileError, errors.CheckpointError),
    ),
    Target(
        "picture with record",
        "p.png",
        lambda: corpus.pictures("png", "jpeg", "webp"),
        _RECORD,
        [show, as_conf, read_render, readers.bare],
        (errors.ImageError, errors.VersionError, errors.ConfigError),
    ),
    Target(
        "picture",
        "p.png",
        corpus.plain_pictures,
        picture_changed(),
        [read_image_header, read_reference, readers.small, read_picture],
        (errors.ImageError,),
    ),
    Target(
        "XMP",
        "p.png",
        lambda: [corpus.with_packet(corpus.PACKET.encode())],
        picture_changed((b"iTXtXML:com.adobe.xmp\0\0\0\0\0", xml_changed)),
        [show],
        (errors.ImageError, errors.VersionError),
    ),
    _texts("prompts .txt", "p.txt", corpus.PROMPT_LINES, _PROMPTS, readers.prompts),
    _texts("prompts .csv", "p.csv", corpus.PROMPT_TABLE, _PROMPTS, readers.prompts),
    _texts("prompts .jsonl", "p.jsonl", corpus.PROMPT_OBJECT, json_changed, readers.prompts),
    _texts("template", "t.txt", corpus.TEMPLATE, _TEMPLATE, readers.template),
    _texts("request", "r.json", corpus.REQUEST, json_changed, readers.request),
    _texts("training job", "config.yaml", corpus.JOB, _YAML, readers.job),
    *map(_conf, readers.CONF),
    _table("previews", "previews/demo_nightly/previews.parquet", read_previews),
    _table("records", "tests/data/record/manifest_unversioned.parquet", read_rows),
    _table("comparisons", "tests/data/record/compare_unversioned.parquet", read_comparisons),
    Target("message", "message", corpus.messages, json_changed, [readers.message], (errors.WorkerError,)),
    _planned(
        "combination", PlannedCombination.read, asked="", lost="", output={}, lora_merge="auto", requests=[_REQUEST]
    ),
    _planned("contents", Contents.read, experiment="e", source="e", fresh=False, combinations=[["m", "l", "p", 2, 1]]),
    _planned(
        "model",
        PlannedModel.read,
        name="m",
        checkpoint={},
        base=_REQUEST["base"],
        encoder=_REQUEST["encoder"],
        texts=["a"],
        prompt_embeds=[],
    ),
    _planned("thresholds", read_thresholds, m={"source": "a", "psnr": 40.0}),
    _planned("job error", read_job_error, text="a", pictures={"b": "c"}),
)
