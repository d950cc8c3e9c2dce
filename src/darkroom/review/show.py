"""`darkroom show`: a picture's record as text for people, or as a prompts file that renders it again."""

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from darkroom.display import printable
from darkroom.files.columns import groups_of
from darkroom.files.yaml_text import yaml_line, yaml_text
from darkroom.record import EmbeddedRecord, read_embedded_record

# What conf/model may have said differently from the file that is there now.
_MODEL_SETTINGS = (
    *("dtype", "schedule", "timestep_rounding", "noise_device", "numerics", "max_sequence_length"),
    *("text_encoder_cast", "attn_masking"),
)
_NAME = 24  # characters of the column of names; the longest is text_encoder_digest
_WIDTH = 110  # characters of a line
_AGAIN = "again"  # name of the prompts file and experiment that `as_conf` suggests


def show(path: Path) -> str:
    """The record in a picture, grouped and aligned, one value a line; errors as for `read_embedded_record`."""
    record = read_embedded_record(path).embedded_row()
    lines = [printable(str(path))]
    for heading, names in groups_of(EmbeddedRecord).items():
        lines += ["", f"{heading}:", *(line for name in names for line in _entry(name, record[name]))]
    return "\n".join(lines) + "\n"


def as_conf(path: Path) -> str:
    """A file for conf/prompts/ that renders the picture again, with comments that say on which model and how.

    The prompt is the effective one, its trigger word already in place. Errors as for
    `read_embedded_record`.
    """
    record = read_embedded_record(path).embedded_row()
    comments = "".join(f"# {printable(line)}".rstrip() + "\n" for line in _comments(path, record))
    return comments + yaml_text({"prompts": [_prompt_entry(record)]})


def _entry(name: str, value: Any) -> list[str]:
    """`  name:   value`, long values wrapped under their beginning."""
    lines = [line for part in _readable(name, value) for line in _wrapped(part)]
    return [f"  {f'{name}:' if number == 0 else '':{_NAME}}{line}".rstrip() for number, line in enumerate(lines)]


def _readable(name: str, value: Any) -> list[str]:
    if value is None or value == [] or value == "":
        return ["none" if value != "" else '""']
    if name == "loras":
        return [line for lora in value for line in _lora_lines(lora)]
    if name == "ctrl_images":
        return [f"{image['path']} (sha256 {image['sha256']})" for image in value]
    if name == "axes":
        return [f"{axis['name']} = {axis['value']}" for axis in value]
    if name == "sigmas":
        return [" ".join(f"{sigma:.6g}" for sigma in value)]
    if isinstance(value, list):
        return [str(item) for item in value]
    return [str(value).lower() if isinstance(value, bool) else str(value)]


def _lora_lines(lora: Mapping[str, Any]) -> list[str]:
    return [
        f"{lora['path']} at {lora['network_multiplier']}",
        f"({lora['format']}, {lora['matched_keys']} keys, sha256 {lora['sha256']})",
    ]


def _wrapped(text: str) -> list[str]:
    pieces = [
        textwrap.wrap(line, _WIDTH - _NAME, break_long_words=False, break_on_hyphens=False) or [""]
        for line in text.splitlines()
    ]
    return [printable(piece) for lines in pieces for piece in lines] or [""]


def _prompt_entry(record: Mapping[str, Any]) -> dict[str, Any]:
    text = "prompt_embeds" if record["prompt_embeds"] else "prompt"
    names = (text, "neg", "width", "height", "seed", "sample_steps", "guidance_scale", "network_multiplier")
    entry = {name: record[name] for name in names}
    images = [image["path"] for image in record["ctrl_images"]]
    keys = ["ctrl_img"] if len(images) == 1 else [f"ctrl_img_{number}" for number in range(1, len(images) + 1)]
    entry |= dict(zip(keys, images, strict=True))
    if record["ctrl_idx"] is not None:
        entry["ctrl_idx"] = record["ctrl_idx"]
    return entry


def _comments(path: Path, record: Mapping[str, Any]) -> list[str]:
    """The comment lines above the prompts: how to use the file, then what it needs to give the same pixels."""
    matrix = {"model": [record["model"]], "lora": [record["lora"]], "prompts": [_AGAIN]}
    model = {name: record[name] for name in _MODEL_SETTINGS}
    model["quantize"] = {part: record[f"quantize_{part}"] for part in ("transformer", "text_encoder")}
    if record["lora_merge"] is not None:
        model["lora_merge"] = record["lora_merge"]
    images = "jpeg" if path.suffix == ".jpg" else path.suffix.removeprefix(".")
    return [
        f"Renders {path.name} again:",
        f"  1. save this file as conf/prompts/{_AGAIN}.yaml",
        f"  2. save these lines as conf/experiment/{_AGAIN}.yaml:",
        f"       matrix: {yaml_line(matrix)}",
        f"       model: {yaml_line(model)}",
        f"       output: {yaml_line({'format': images})}",
        *(["       lora: {allow_foreign_lora: true}"] if record["allow_foreign_lora"] else []),
        f"  3. snakemake --cores 1 --config experiment={_AGAIN}",
        "",
        f"It was rendered in experiment {record['experiment']} from prompt {record['index']} of {record['prompts']},",
        f"numerics {record['numerics']}, with darkroom {record['darkroom_version']} on {record['device']}, and needs",
        f"  model {record['model']}: {record['checkpoint']}, revision {record['checkpoint_revision'] or 'none'},",
        f"    {record['dtype']}, digest {record['checkpoint_digest']}",
        *_lora_comments(record),
        *(f"  {image['path']}, sha256 {image['sha256']}" for image in record["ctrl_images"]),
        "",
    ]


def _lora_comments(record: Mapping[str, Any]) -> list[str]:
    lines = [f"  lora {record['lora']}:{'' if record['loras'] else ' no files'}"]
    return lines + [
        f"    {lora['path']} at {lora['network_multiplier']}, sha256 {lora['sha256']}" for lora in record["loras"]
    ]
