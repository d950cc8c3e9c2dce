"""The signed claim in a picture: "trained algorithmic media", for which request, with which weights; and its check.

It goes in last, over everything else that the file says, and changes no pixel. No network is asked: the signature has
no time but the clock's, and whether a certificate can be trusted is not judged.
"""

import io
import json
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from darkroom.errors import ProvenanceError
from darkroom.files.container import split, split_leniently
from darkroom.provenance.identity import Identity, not_installed, read_identity
from darkroom.record.embedded import EmbeddedRecord

_SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
_REQUEST = "darkroom.request"  # the assertion of ours
_SETTINGS = {
    "builder": {"thumbnail": {"enabled": False}},
    "verify": {"verify_trust": False, "ocsp_fetch": False, "remote_manifest_fetch": False},
}
_HOLDERS = (b"caBX", b"\xff\xeb", b"C2PA")  # chunks of PNG, JPEG and WebP that claims are in
_UNTRUSTED = "signingCredential.untrusted"  # said of every signer, since no trust list is asked
_ONE_PIXEL = b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==")


@dataclass(frozen=True)
class Claim:
    """What a picture's claim says, whoever made it.

    `faults`: C2PA's codes of what is wrong, such as a picture that was changed; () if all is well.
    """

    signer: str  # name and organisation of the certificate
    algorithm: str
    faults: tuple[str, ...]
    request_id: str | None  # where Darkroom signed
    is_generated: bool  # it says "trained algorithmic media"


def signed(data: bytes, record: EmbeddedRecord) -> bytes:
    """The file of a picture with a claim in it: `data`, in any of the formats, and what was done for it.

    ProvenanceError where it cannot be signed.
    """
    base, source = record.request.base, record.request.source
    said = {
        "request_id": record.request_id,
        "checkpoint_digest": base.checkpoint_digest,
        "transformer_sha256": source.transformer_sha256,
        "loras": [{"sha256": use.sha256, "network_multiplier": use.network_multiplier} for use in record.loras],
    }
    return _signed(data, said, record.environment.darkroom_version, read_identity())


def try_identity() -> None:
    """Sign a picture of one pixel: ProvenanceError with what is wrong with certificate or key, before a run begins."""
    claim = read_claim(_signed(_ONE_PIXEL, {}, "", read_identity()))
    if claim is None or claim.faults:
        faults = ", ".join(claim.faults) if claim else "nothing at all"
        raise ProvenanceError(f"the certificate signs, but not so that it can be verified: {faults}")


def read_claim(data: bytes) -> Claim | None:
    """The claim in a picture, checked; None where there is none. ProvenanceError where it cannot be read."""
    image_format, chunks = split_leniently(data)
    if not any(chunk.startswith(_HOLDERS) for chunk in chunks):
        return None
    try:
        import c2pa
    except ImportError as error:
        raise not_installed() from error
    try:
        with c2pa.Context.from_dict(_SETTINGS) as context:
            reader = c2pa.Reader.try_create(f"image/{image_format}", io.BytesIO(data), None, context)
            if reader is None:
                return None
            with reader:
                return _claim(reader.get_active_manifest() or {}, reader.get_validation_results() or {})
    except c2pa.C2paError as error:
        raise ProvenanceError(f"its claim is damaged: {error}") from error


def _signed(data: bytes, said: Mapping[str, Any], version: str, identity: Identity) -> bytes:
    try:
        import c2pa
    except ImportError as error:
        raise not_installed() from error
    software = {"name": "Darkroom", "version": version}
    created = {"action": "c2pa.created", "digitalSourceType": _SOURCE, "softwareAgent": software}
    manifest = {
        "claim_generator_info": [software],
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": [created]}},
            {"label": _REQUEST, "data": said},
        ],
    }
    image_format, _ = split(data)
    output = io.BytesIO()
    # None: no authority on time, which would be asked over the network
    info = c2pa.C2paSignerInfo(identity.algorithm, identity.certificates, identity.key, None)
    try:
        with (
            c2pa.Context.from_dict(_SETTINGS) as context,
            c2pa.Signer.from_info(info) as signer,
            c2pa.Builder(json.dumps(manifest), context) as builder,
        ):
            builder.sign(signer, f"image/{image_format}", io.BytesIO(data), output)
    except c2pa.C2paError as error:
        raise ProvenanceError(f"the picture cannot be signed with this certificate: {error}") from error
    return output.getvalue()


def _claim(manifest: Mapping[str, Any], results: Mapping[str, Any]) -> Claim:
    by = manifest.get("signature_info", {})
    said = ((each["label"], each.get("data")) for each in manifest.get("assertions", ()))
    assertions = {label: data for label, data in said if isinstance(data, Mapping)}  # a stranger's may be anything
    lists = [data.get("actions") for label, data in assertions.items() if label.startswith("c2pa.actions")]
    actions = [action for each in lists if isinstance(each, list) for action in each if isinstance(action, Mapping)]
    failures = results.get("activeManifest", {}).get("failure", ())
    return Claim(
        signer=", ".join(said for said in (by.get("common_name"), by.get("issuer")) if said) or "nobody",
        algorithm=str(by.get("alg", "none")),
        faults=tuple(dict.fromkeys(each["code"] for each in failures if each["code"] != _UNTRUSTED)),
        request_id=assertions.get(_REQUEST, {}).get("request_id"),
        is_generated=any(action.get("digitalSourceType") == _SOURCE for action in actions),
    )
