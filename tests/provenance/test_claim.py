"""Signed claims: what is in them, what breaks them, and whose certificates and keys do not do."""

import io
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from PIL import Image
from tests.examples.identity import write_identity
from tests.examples.record import LORA, embedded, read_record

from darkroom.errors import ProvenanceError
from darkroom.files.images.image_file import encode_image, without_record
from darkroom.provenance.claim import Claim, read_claim, signed, try_identity
from darkroom.provenance.identity import read_identity
from darkroom.review.show import show

FORMATS = ("png", "jpeg", "webp")
PIXELS = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
RECORD = embedded()


@pytest.fixture
def identity(tmp_path, monkeypatch):
    """Anna's files, which the environment names."""
    files = write_identity(tmp_path / "anna")
    for name, value in files.environment.items():
        monkeypatch.setenv(name, value)
    return files


def picture(image_format):
    return encode_image(PIXELS, RECORD.to_json(), image_format, 90)


@pytest.mark.parametrize("image_format", FORMATS)
def test_a_signed_picture_says_who_made_it_and_has_the_same_pixels_and_record(tmp_path, identity, image_format):
    plain = picture(image_format)
    data = signed(plain, RECORD)
    assert read_claim(data) == Claim("Anna, Studio", "Es256", (), RECORD.request_id, True)
    assert read_claim(plain) is None
    (tmp_path / "a").write_bytes(data)
    assert read_record(tmp_path / "a") == RECORD.to_json()
    with Image.open(io.BytesIO(data)) as image, Image.open(io.BytesIO(plain)) as before:
        assert image.tobytes() == before.tobytes()
    assert without_record(data) == without_record(plain)
    assert LORA.sha256.encode() in data
    assert data.count(b"anna.safetensors") == plain.count(b"anna.safetensors"), "the claim names no file"


@pytest.mark.parametrize("image_format", ["jpeg", "webp"])  # a PNG's own checksums see it first
def test_a_picture_that_was_changed_since_is_not_valid(identity, image_format):
    data = signed(picture(image_format), RECORD)
    pixels = without_record(picture(image_format))[-60:-30]
    changed = data.replace(pixels, bytes(byte ^ 1 if byte < 254 else byte for byte in pixels))
    claim = read_claim(changed)
    assert claim is not None
    assert claim.faults == ("assertion.dataHash.mismatch",)


def test_show_prints_the_check(tmp_path, identity):
    (tmp_path / "a.png").write_bytes(signed(picture("png"), RECORD))
    assert show(tmp_path / "a.png").splitlines()[-7:] == [
        "",
        "provenance:",
        "  signed_by:              Anna, Studio",
        "  signature:              Es256, valid: since it was signed nothing was changed; whether to trust the",
        "                          certificate is not judged here",
        "  says:                   generated (trainedAlgorithmicMedia)",
        f"  of_request:             {RECORD.request_id}",
    ]
    (tmp_path / "bare.png").write_bytes(signed(without_record(picture("png")), RECORD))
    lines = show(tmp_path / "bare.png").splitlines()
    assert lines[3] == "  signed_by:              Anna, Studio"
    assert lines[-1].startswith(f"no record: {tmp_path}/bare.png: a picture without a Darkroom record")


def test_an_identity_that_is_well_is_tried_before_a_run(identity):
    try_identity()
    assert "PRIVATE" not in repr(read_identity())


def test_what_does_not_sign_is_told(tmp_path, identity, monkeypatch):
    def told(**changes):
        files = write_identity(tmp_path / "other", **changes)
        for name, value in files.environment.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(ProvenanceError) as error:
            try_identity()
        return str(error.value)

    today = datetime.now(UTC)
    expired = [f"{today + timedelta(days=days):%Y-%m-%d}" for days in (-9, -2, 0)]
    assert told(days=(-9, -2)).endswith(
        f"chain.pem: is valid from {expired[0]} to {expired[1]}, and today is {expired[2]}: get a new one"
    )
    assert "key.pem: is encrypted, and nobody is asked: `openssl pkey -in" in told(password=b"secret")
    assert "the picture cannot be signed with this certificate: " in told(for_mail=False)


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        (
            "key",
            None,
            r"key\.pem: cannot be read: No such file or directory; DARKROOM_C2PA_KEY, or machine",
        ),
        ("certificate", b"hello", r"chain\.pem: expected certificates in PEM, got something else"),
        ("key", b"hello", r"key\.pem: expected a private key in PEM, got something else"),
    ],
)
def test_files_that_are_none_are_told(identity, file, content, said):
    path = getattr(identity, file)
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ProvenanceError, match=said):
        read_identity()


def test_a_key_of_another_certificate_is_told(tmp_path, identity, monkeypatch):
    other = write_identity(tmp_path / "other")
    monkeypatch.setenv("DARKROOM_C2PA_KEY", str(other.key))
    with pytest.raises(ProvenanceError, match=r"other/key\.pem: is not the key of the first certificate in "):
        read_identity()


def test_no_identity_at_all_is_told(monkeypatch):
    monkeypatch.delenv("DARKROOM_C2PA_CERTIFICATE", raising=False)
    with pytest.raises(ProvenanceError, match="of whoever signs, got none: set DARKROOM_C2PA_CERTIFICATE, or"):
        read_identity()


def test_a_missing_package_is_told_with_the_command(tmp_path, identity):
    (tmp_path / "a.png").write_bytes(signed(picture("png"), RECORD))
    code = """
import sys
from pathlib import Path
sys.modules["c2pa"] = sys.modules["cryptography"] = None
from darkroom.errors import ProvenanceError
from darkroom.provenance.identity import read_identity
from darkroom.review.show import show
print(show(Path("a.png")))
try:
    read_identity()
except ProvenanceError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=os.environ, capture_output=True, text=True)
    said = "signatures need the package c2pa-python: pip install 'darkroom[c2pa]'"
    assert done.stdout.splitlines()[-1] == said
    assert "  signature:              not checked: signatures need the package" in done.stdout
