"""`darkroom show`: a picture's record, and who signed it, as text for people."""

import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from darkroom.display import LABEL, labelled, named, printable
from darkroom.errors import ImageError, NoRecordError, ProvenanceError
from darkroom.files.columns import groups_of
from darkroom.files.images.opened import read_bytes
from darkroom.named_picture import read_record_of
from darkroom.provenance.claim import Claim, read_claim
from darkroom.record.embedded import EmbeddedRecord

_WIDTH = 110  # characters of a line


def show(path: Path) -> str:
    """The record of a picture, grouped and aligned, one value a line, and the check of its signature where it has one.

    Errors as for `read_record_of`; a signed picture is shown without its record where that is not to be found.
    """
    signature = _signature(path)
    try:
        record = read_record_of(path).embedded_row()
    except NoRecordError as error:
        if not signature:
            raise
        return "\n".join([printable(str(path)), *signature, "", printable(f"no record: {error}")]) + "\n"
    lines = [printable(str(path))]
    for heading, names in groups_of(EmbeddedRecord).items():
        lines += ["", f"{heading}:", *(line for name in names for line in _entry(name, record[name]))]
    return "\n".join([*lines, *signature]) + "\n"


def _signature(path: Path) -> list[str]:
    """Nothing of a picture that nobody signed, nor of what is no picture."""
    try:
        claim = read_claim(read_bytes(path))
    except ImageError:
        return []
    except ProvenanceError as error:
        return ["", "provenance:", *_entry("signature", f"not checked: {error}")]
    if claim is None:
        return []
    return ["", "provenance:", *(line for entry in _claimed(claim) for line in _entry(*entry))]


def _claimed(claim: Claim) -> Iterator[tuple[str, str]]:
    yield "signed_by", claim.signer
    what_holds = "valid: since it was signed nothing was changed; whether to trust the certificate is not judged here"
    yield "signature", f"{claim.algorithm}, {f'not valid: {named(claim.faults)}' if claim.faults else what_holds}"
    yield "says", "generated (trainedAlgorithmicMedia)" if claim.is_generated else "not that it was generated"
    if claim.request_id:
        yield "of_request", claim.request_id


def _entry(name: str, value: Any) -> list[str]:
    """`  name:   value`, long values wrapped under their beginning."""
    lines = [line for part in _readable(name, value) for line in _wrapped(part)]
    return [f"  {labelled('' if number else name, line)}" for number, line in enumerate(lines)]


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
        f"trained by {lora['trainer']}" if lora["trainer"] else "trainer not known",
    ]


def _wrapped(text: str) -> list[str]:
    pieces = [
        textwrap.wrap(line, _WIDTH - LABEL, break_long_words=False, break_on_hyphens=False) or [""]
        for line in text.splitlines()
    ]
    return [printable(piece) for lines in pieces for piece in lines] or [""]
