"""Whose certificate and private key sign pictures: two PEM files that the environment names, read and checked.

They are a person's, so that no conf/ names them: this machine's config.yaml does, or the environment itself.
"""

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from darkroom.errors import ProvenanceError
from darkroom.files.regular_file import from_home

CERTIFICATE, KEY = "DARKROOM_C2PA_CERTIFICATE", "DARKROOM_C2PA_KEY"  # the environment's
MACHINE_KEYS = {"c2pa_certificate": CERTIFICATE, "c2pa_key": KEY}  # of `machine` in this machine's config.yaml
_CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}


@dataclass(frozen=True)
class Identity:
    """Who signs. `certificates`: PEM, the signer's own first, then those that vouch for it."""

    certificates: bytes
    key: bytes = field(repr=False)  # PEM, not encrypted
    algorithm: str  # C2PA's name: es256, es384, es512, ps256, ed25519


def name_identity(certificate: str | None, key: str | None) -> None:
    """Let this process and its jobs sign with these files, where the environment names none."""
    for variable, path in ((CERTIFICATE, certificate), (KEY, key)):
        if path:
            os.environ.setdefault(variable, path)


def read_identity(now: datetime | None = None) -> Identity:
    """Of the files that the environment names.

    ProvenanceError where they are not there, are no certificate and key, do not belong together or are out of date,
    and where what reads them is not installed.
    """
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
    except ImportError as error:
        raise not_installed() from error
    # 1. The files
    certificate_file, certificates = _read(CERTIFICATE, "c2pa_certificate", "a chain of certificates")
    key_file, key = _read(KEY, "c2pa_key", "the private key")
    # 2. What is in them
    try:
        own = x509.load_pem_x509_certificates(certificates)[0]
    except ValueError as error:
        raise ProvenanceError(f"{certificate_file}: expected certificates in PEM, got something else") from error
    try:
        private = load_pem_private_key(key, password=None)
    except TypeError as error:
        decrypted = f"openssl pkey -in {key_file} -out FILE"
        raise ProvenanceError(f"{key_file}: is encrypted, and nobody is asked: `{decrypted}` writes it open") from error
    except ValueError as error:
        raise ProvenanceError(f"{key_file}: expected a private key in PEM, got something else") from error
    # 3. Do they belong together, now?
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if private.public_key().public_bytes(*form) != own.public_key().public_bytes(*form):
        raise ProvenanceError(f"{key_file}: is not the key of the first certificate in {certificate_file}")
    now, begins, ends = now or datetime.now(UTC), own.not_valid_before_utc, own.not_valid_after_utc
    if not begins <= now <= ends:
        said = f"is valid from {begins:%Y-%m-%d} to {ends:%Y-%m-%d}"
        raise ProvenanceError(f"{certificate_file}: {said}, and today is {now:%Y-%m-%d}: get a new one")
    return Identity(certificates, key, _algorithm(private, key_file))


def not_installed() -> ProvenanceError:
    return ProvenanceError("signatures need the package c2pa-python: pip install 'darkroom[c2pa]'")


def _read(variable: str, key: str, what: str) -> tuple[Path, bytes]:
    named = os.environ.get(variable)
    if not named:
        raise ProvenanceError(
            f"expected the file with {what} of whoever signs, got none: set {variable}, or machine.{key} in "
            "~/.config/darkroom/config.yaml (docs/provenance.md)"
        )
    file = from_home(named)
    try:
        return file, file.read_bytes()
    except OSError as error:
        said = f"{variable}, or machine.{key}, says that it is {what} of whoever signs"
        raise ProvenanceError(f"{file}: cannot be read: {error.strerror}; {said}") from error


def _algorithm(private: object, key_file: Path) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name in _CURVES:
        return _CURVES[private.curve.name]
    if isinstance(private, rsa.RSAPrivateKey):
        return "ps256"
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return "ed25519"
    raise ProvenanceError(f"{key_file}: expected a key of the curves P-256, P-384 or P-521, of RSA or of Ed25519")
