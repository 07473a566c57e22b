"""A grid's certificate authority, its users, and proxies, good ones and broken ones."""

from __future__ import annotations

import ipaddress
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PROXY_INFO = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.14")
INHERIT_ALL, INDEPENDENT = "1.3.6.1.5.5.7.21.1", "1.3.6.1.5.5.7.21.2"
LIMITED = "1.3.6.1.4.1.3536.1.1.1.9"
DAY = timedelta(days=1)
Extensions = tuple[tuple[Any, bool], ...]


def new_key(kind: str = "EC") -> Any:
    if not kind.startswith("RSA"):
        return ec.generate_private_key({"EC": ec.SECP256R1(), "EC192": ec.SECP192R1()}[kind])
    return rsa.generate_private_key(65537, int(kind.removeprefix("RSA")))


def key_usage(*, signs: bool = True, certifies: bool = False, crls: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signs, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=certifies, crl_sign=crls,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


def proxy_info(language: str = INHERIT_ALL, *, path_length: int | None = None) -> Any:
    """Return RFC 3820's extension, DER by hand."""
    oid = x509.ObjectIdentifier(language)
    body = b"\x06" + _length(_oid(oid)) + _oid(oid)
    policy = b"\x30" + _length(body) + body
    length = b"" if path_length is None else b"\x02\x01" + bytes([path_length])
    return x509.UnrecognizedExtension(
        PROXY_INFO, b"\x30" + _length(length + policy) + length + policy
    )


def _length(content: bytes) -> bytes:
    return bytes([len(content)])


def _oid(oid: x509.ObjectIdentifier) -> bytes:
    first, second, *rest = map(int, oid.dotted_string.split("."))
    encoded = [first * 40 + second]
    for number in rest:
        septets = [number & 127]
        while number := number >> 7:
            septets.insert(0, number & 127 | 128)
        encoded += septets
    return bytes(encoded)


@dataclass(frozen=True, slots=True)
class Holder:
    """A certificate, its key, and what stands above it but the root."""

    key: Any
    certificate: x509.Certificate
    above: tuple[x509.Certificate, ...] = ()

    @property
    def chain(self) -> list[x509.Certificate]:
        return [self.certificate, *self.above]

    @property
    def chain_pem(self) -> str:
        return "".join(_pem(one) for one in self.chain)

    def write(self, path: Path) -> Path:
        """Write a proxy file as grid tools do: certificate, key, then what is above."""
        key = self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode()
        path.write_text(_pem(self.certificate) + key + "".join(map(_pem, self.above)))
        path.chmod(0o600)
        return path


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def name(*parts: tuple[Any, str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])


def person(common_name: str) -> x509.Name:
    return name(
        (NameOID.DOMAIN_COMPONENT, "org"), (NameOID.DOMAIN_COMPONENT, "grid"),
        (NameOID.COMMON_NAME, common_name),
    )  # fmt: skip


def issue(
    subject: x509.Name,
    issuer: x509.Name,
    signer: Any,
    *,
    at: datetime,
    lasts: timedelta = DAY,
    extensions: Extensions = (),
    kind: str = "EC",
    digest: Any = None,
) -> tuple[Any, x509.Certificate]:
    """Return a new key and its certificate; a `signer` of None signs itself."""
    key = new_key(kind)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - timedelta(minutes=5))
        .not_valid_after(at + lasts)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return key, builder.sign(signer or key, digest or hashes.SHA256())


class Authority:
    """A root authority that issues end entities and revokes them."""

    def __init__(self, common_name: str = "Grid CA", *, at: datetime | None = None) -> None:
        self.at = at or datetime.now(UTC).replace(microsecond=0)
        self.subject, self.common_name = person(common_name), common_name
        self.key, self.certificate = issue(
            self.subject, self.subject, None, at=self.at, lasts=3650 * DAY,
            extensions=(
                (x509.BasicConstraints(ca=True, path_length=1), True),
                (key_usage(signs=False, certifies=True, crls=True), True),
            ),
        )  # fmt: skip
        self.revoked: list[x509.Certificate] = []

    def user(self, common_name: str = "Alice", **changed: Any) -> Holder:
        extensions: Extensions = changed.pop("extensions", None) or (
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (key_usage(), True),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False),
        )
        options = {"at": self.at, "lasts": 30 * DAY, **changed}
        subject = options.pop("subject", person(common_name))
        return Holder(*issue(subject, self.subject, self.key, extensions=extensions, **options))

    def below(self, holder: Holder, **changed: Any) -> Holder:
        """Return a user of an authority that this one vouches for."""
        options = {"at": self.at, "lasts": 30 * DAY, **changed}
        subject, issuer = options.pop("subject", person("Alice")), holder.certificate.subject
        made = issue(subject, issuer, holder.key, extensions=((key_usage(), True),), **options)
        return Holder(*made, above=tuple(holder.chain))

    def server(self, host: str = "127.0.0.1") -> Holder:
        """Return a certificate for a server at an address."""
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))])
        extensions = ((names, False), (key_usage(), True))
        made = issue(person(host), self.subject, self.key, at=self.at, extensions=extensions)
        return Holder(*made)

    def crl(
        self, *, lasts: timedelta = DAY, critical: Any = None, signer: Any = None
    ) -> x509.CertificateRevocationList:
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.subject)
            .last_update(self.at - timedelta(minutes=5))
            .next_update(self.at + lasts)
        )
        for one in self.revoked:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(one.serial_number)
                .revocation_date(self.at)
                .build()
            )
        if critical is not None:
            builder = builder.add_extension(critical, critical=True)
        return builder.sign(signer or self.key, hashes.SHA256())

    def signing_policy(self, *subjects: str) -> str:
        """Return what lets it vouch for these, or else for everybody of its grid."""
        listed = " ".join(f'"{subject}"' for subject in subjects or ("/DC=org/DC=grid/*",))
        return (
            f"# {self.common_name}\naccess_id_CA\tX509\t'/DC=org/DC=grid/CN={self.common_name}'\n"
            f"pos_rights\tglobus\tCA:sign\ncond_subjects\tglobus\t'{listed}'\n"
        )

    def write_pem(self, path: Path) -> Path:
        """Write the certificate alone, as what clients trust."""
        path.write_text(_pem(self.certificate))
        return path

    def write(self, directory: Path, stem: str = "") -> Path:
        """Write certificate, list and policy as in /etc/grid-security/certificates."""
        directory.mkdir(exist_ok=True)
        stem = stem or subject_hash(self.certificate)
        (directory / f"{stem}.0").write_text(_pem(self.certificate))
        pem = self.crl().public_bytes(serialization.Encoding.PEM)
        (directory / f"{stem}.r0").write_bytes(pem)
        (directory / f"{stem}.signing_policy").write_text(self.signing_policy())
        return directory


def subject_hash(certificate: x509.Certificate) -> str:
    """Return OpenSSL's hash of a subject, by which its directories are looked up."""
    command = ["openssl", "x509", "-noout", "-subject_hash"]
    pem = _pem(certificate).encode()
    return subprocess.run(command, input=pem, capture_output=True, check=True).stdout.decode()[:8]


def proxy(parent: Holder, common_name: str = "1234567", **changed: Any) -> Holder:
    """Return a proxy of a holder; what is changed makes it a broken one."""
    subject = parent.certificate.subject
    extensions = changed.pop("extensions", None)
    if extensions is None:
        info = changed.pop("info", None) or proxy_info()
        extensions = ((info, True), (key_usage(), True))
    options = {
        "subject": x509.Name([*subject.rdns, x509.RelativeDistinguishedName(
            [x509.NameAttribute(NameOID.COMMON_NAME, common_name)])]),
        "issuer": subject, "signer": parent.key,
        "at": parent.certificate.not_valid_before_utc + timedelta(minutes=5),
        "lasts": timedelta(hours=12), **changed,
    }  # fmt: skip
    made = issue(**options, extensions=extensions)
    return Holder(*made, above=tuple(parent.chain))
