"""Certificates and keys of a studio that signs pictures, made for a test: none is worth anything elsewhere."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_CAN_DO = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
_CAN_DO += ("key_cert_sign", "crl_sign", "encipher_only", "decipher_only")


@dataclass(frozen=True)
class Files:
    """Where the two lie, as DARKROOM_C2PA_CERTIFICATE and DARKROOM_C2PA_KEY name them."""

    certificate: Path
    key: Path

    @property
    def environment(self) -> dict[str, str]:
        return {"DARKROOM_C2PA_CERTIFICATE": str(self.certificate), "DARKROOM_C2PA_KEY": str(self.key)}


def write_identity(
    folder: Path, *, days: tuple[int, int] = (-1, 30), password: bytes | None = None, for_mail: bool = True
) -> Files:
    """Anna of Studio, vouched for by its own authority. `days`: from today, between which her certificate is valid.

    `for_mail`: has the extended use without which no certificate may sign claims.
    """
    authority, own = generate_private_key(SECP256R1()), generate_private_key(SECP256R1())
    voucher = _certificate("Authority", authority, authority, days).add_extension(
        x509.BasicConstraints(True, None), True
    )
    voucher = voucher.add_extension(_uses("key_cert_sign", "crl_sign"), True)
    signer = _certificate("Anna", own, authority, days)
    signer = signer.add_extension(x509.BasicConstraints(False, None), True)
    signer = signer.add_extension(_uses("digital_signature"), True)
    if for_mail:
        signer = signer.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
    chain = [each.sign(authority, SHA256()).public_bytes(Encoding.PEM) for each in (signer, voucher)]
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    files = Files(folder / "chain.pem", folder / "key.pem")
    folder.mkdir(parents=True, exist_ok=True)
    files.certificate.write_bytes(b"".join(chain))
    files.key.write_bytes(own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    return files


def _certificate(
    name: str, own: EllipticCurvePrivateKey, authority: EllipticCurvePrivateKey, days: tuple[int, int]
) -> x509.CertificateBuilder:
    begins, ends = (datetime.now(UTC) + timedelta(days=each) for each in days)
    key, vouching = own.public_key(), authority.public_key()
    builder = x509.CertificateBuilder(_name("Authority"), _name(name), key, x509.random_serial_number(), begins, ends)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), False)
    return builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(vouching), False)


def _name(name: str) -> x509.Name:
    organisation, common = NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME
    return x509.Name([x509.NameAttribute(organisation, "Studio"), x509.NameAttribute(common, name)])


def _uses(*names: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{each: each in names for each in _CAN_DO})
