"""What Darkroom does with a stranger's file, as functions of its path; and the folder that they are called in."""

from pathlib import Path

from darkroom.base_files.gguf.encoders import QWEN3_GGUF, check_gguf_encoder
from darkroom.base_files.gguf.header import read_gguf_header, unread_kinds
from darkroom.files.images.image_file import without_record
from darkroom.intake.aitk.base_model import Copies
from darkroom.intake.aitk.job import import_job
from darkroom.intake.options import ImportOptions
from darkroom.intake.prompt_file import import_prompts
from darkroom.intake.request_json import import_request
from darkroom.lora_files.file import read_lora
from darkroom.lora_files.inspection.facts import facts_of
from darkroom.lora_files.inspection.told import as_block, as_table
from darkroom.lora_files.scales import Scales, read_scales
from darkroom.plan.conf.folders import BUILT_IN
from darkroom.plan.load import load_experiment
from darkroom.plan.prompt_text.templates import expanded
from darkroom.render.worker.message import Message, decode
from darkroom.review.page.data_uri import thumbnail
from fuzzing import corpus

CONF = {
    "conf/model/m.yaml": corpus.MODEL,
    "conf/lora/l.yaml": corpus.LORA,
    "conf/prompts/p.yaml": corpus.PROMPTS,
    "conf/experiment/e.yaml": corpus.EXPERIMENT,
    "conf/config.yaml": corpus.CONFIG,
}


def prepare(folder: Path) -> None:
    """What inputs refer to, and a conf/ that is whole."""
    (folder / "sks.safetensors").write_bytes(corpus.adapters()[0])
    (folder / "red.png").write_bytes(corpus.plain_pictures()[0])
    for name, content in CONF.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")


def experiment(_: Path) -> list[str]:
    """Of the conf/ that has the file."""
    loaded = load_experiment("e", [Path("conf"), BUILT_IN], ())
    return [loaded.digest(combination.names) for combination in loaded.combinations]


def lora_in_full(path: Path) -> str:
    return as_block(facts_of(path), every_layer=True)


def lora_in_a_table(path: Path) -> str:
    return as_table([facts_of(path)])


def scales(path: Path) -> Scales:
    return read_scales(read_lora(path))


def gguf_kinds(path: Path) -> list[str]:
    return unread_kinds(read_gguf_header(path))


def gguf_encoder(path: Path) -> None:
    check_gguf_encoder(path, QWEN3_GGUF, 2560)


def small(path: Path) -> str:
    return thumbnail(path, 8)


def bare(path: Path) -> bytes:
    return without_record(path.read_bytes())


def template(path: Path) -> list[list[tuple[str, str]]]:
    text = path.read_text(encoding="utf-8", errors="replace")
    return [expanded(text, "", draws, 1, lambda _: ("red", "green")) for draws in (3, None)]


def request(path: Path) -> list[str]:
    return import_request(path, ImportOptions(dry_run=True))


def prompts(path: Path) -> list[str]:
    return import_prompts(path, ImportOptions(dry_run=True))


def job(path: Path) -> list[str]:
    return import_job(path, ImportOptions(dry_run=True), copies=Copies())


def message(path: Path) -> Message:
    return decode(path.read_bytes())
