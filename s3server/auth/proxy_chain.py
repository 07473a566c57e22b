"""Certificates of people and jobs, down to the proxies that they delegate with. Pure.

From the end entity up to a trusted authority the `cryptography` package verifies; it knows no
proxies, which an end entity signs although it is no authority. From there down it is done here, by
RFC 3820: what is not exactly a proxy of its issuer is refused. Revocation: RFC 5280, section 6.3.
Which subjects an authority may vouch for: `signing_policy`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import TypeVar

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from s3server.auth.signing_policy import Subjects, covers, usual_name

MAX_CERTIFICATES = 12  # of a chain
MAX_AUTHORITIES = 4  # above the end entity
MAX_CHAIN_BYTES = 96 << 10
_MIN_RSA_BITS, _MIN_EC_BITS = 2_048, 256
_HASHES = frozenset({"sha256", "sha384", "sha512"})
_PROXY_INFO = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.14")
_INHERIT_ALL = x509.ObjectIdentifier("1.3.6.1.5.5.7.21.1")
_LIMITED = x509.ObjectIdentifier("1.3.6.1.4.1.3536.1.1.1.9")  # of Globus: no new jobs with it
_FORBIDDEN = (x509.SubjectAlternativeName, x509.IssuerAlternativeName)  # RFC 3820, 3.4 and 3.5
_UNDERSTOOD = frozenset({
    _PROXY_INFO, x509.BasicConstraints.oid, x509.KeyUsage.oid, x509.ExtendedKeyUsage.oid,
})  # fmt: skip
_SHORT = {
    NameOID.COMMON_NAME: "CN", NameOID.COUNTRY_NAME: "C", NameOID.STATE_OR_PROVINCE_NAME: "ST",
    NameOID.LOCALITY_NAME: "L", NameOID.ORGANIZATION_NAME: "O",
    NameOID.ORGANIZATIONAL_UNIT_NAME: "OU", NameOID.DOMAIN_COMPONENT: "DC", NameOID.USER_ID: "UID",
    NameOID.EMAIL_ADDRESS: "emailAddress", NameOID.SERIAL_NUMBER: "serialNumber",
    NameOID.SURNAME: "SN", NameOID.GIVEN_NAME: "GN", NameOID.TITLE: "title",
}  # fmt: skip
# A value that looks like the next part of a name, or that cannot be shown, is part of no name.
_AMBIGUOUS = re.compile(r"/[A-Za-z0-9.]+=|[\x00-\x1f\x7f]").search


E = TypeVar("E", bound=x509.ExtensionType)


class ChainError(ValueError):
    """A chain proves nobody; the text says why."""


class ChainExpiredError(ChainError):
    """A chain is over, or not valid yet: what jobs come with whose proxy ended, and no guess."""


@asn1.sequence
class _ProxyPolicy:
    language: x509.ObjectIdentifier
    policy: bytes | None


@asn1.sequence
class _ProxyInfo:  # RFC 3820, 3.8
    path_length: int | None
    policy: _ProxyPolicy


class Trust(msgspec.Struct, frozen=True):
    """What chains are held against."""

    authorities: tuple[x509.Certificate, ...]
    crls: Mapping[x509.Name, tuple[x509.CertificateRevocationList, ...]]  # by their issuers
    subjects: Subjects = {}  # what each authority may vouch for; all, where it is not in here
    needs_crls: bool = True  # refuse what an authority without a list has issued
    needs_policies: bool = True  # and what one without a signing policy has
    allows_limited: bool = False


class Holder(msgspec.Struct, frozen=True):
    """Whom a chain stands for."""

    dn: str  # of the end entity, as OpenSSL writes it: "/DC=org/DC=grid/CN=Alice"
    issuer: str  # of the end entity, likewise
    common_name: str
    ends_ms: int  # when the first certificate of the chain ends
    is_limited: bool
    leaf: x509.Certificate  # whose key the client has to prove


def read_chain(pem: str) -> list[x509.Certificate]:
    """Return the certificates of a PEM text in their order. Raises ChainError."""
    if len(pem) > MAX_CHAIN_BYTES:
        raise ChainError("the certificates are too many")
    try:
        return x509.load_pem_x509_certificates(pem.encode("ascii"))
    except ValueError:
        raise ChainError("what was sent are no certificates") from None


def verify_chain(chain: Sequence[x509.Certificate], trust: Trust, now: datetime) -> Holder:
    """Return whom a chain stands for, its leaf first, at a time (UTC). Raises ChainError.

    That the client has the key of the leaf is proven elsewhere, by TLS or by a signature.
    """
    if not 1 <= len(chain) <= MAX_CERTIFICATES:
        raise ChainError("the certificates are too many, or none")
    try:
        count = _count_proxies(chain)
        proxies, end_entity, above = chain[:count], chain[count], chain[count + 1 :]
        path = _verify_end_entity(end_entity, above, trust, now)
        for certificate in path[:-1]:
            _check_key(certificate)
        _check_subjects(path, trust)
        _check_revocation(path, trust, now)
        is_limited = _check_proxies([*proxies, end_entity], now)
    except ChainError:
        raise
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature, x509.DuplicateExtension):
        raise ChainError("a certificate cannot be read") from None
    if is_limited and not trust.allows_limited:
        raise ChainError("limited proxies are not accepted here")
    ends = min(one.not_valid_after_utc for one in (*proxies, *path))
    names = end_entity.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return Holder(
        dn=write_name(end_entity.subject),
        issuer=write_name(end_entity.issuer),
        common_name=str(names[-1].value) if names else "",
        ends_ms=int(ends.timestamp() * 1000),
        is_limited=is_limited,
        leaf=chain[0],
    )


def _count_proxies(chain: Sequence[x509.Certificate]) -> int:
    is_proxy = [_proxy_info(one) is not None for one in chain]
    count = sum(is_proxy)
    if count == len(chain) or not all(is_proxy[:count]):
        raise ChainError("the certificates are not in order, the last proxy first")
    return count


def write_name(name: x509.Name) -> str:
    """Return a name as OpenSSL writes it in one line. Raises ChainError for ambiguous ones."""
    parts = []
    for rdn in name.rdns:
        attributes = list(rdn)
        value = attributes[0].value
        if len(attributes) != 1 or not isinstance(value, str) or _AMBIGUOUS(f"{value}"):
            raise ChainError("a name in a certificate can be read in two ways")
        oid = attributes[0].oid
        parts.append(f"/{_SHORT.get(oid, oid.dotted_string)}={value}")
    return "".join(parts)


# --- from the end entity up ---------------------------------------------------------------------


def _must_be_authority(_: Policy, __: x509.Certificate, value: x509.BasicConstraints) -> None:
    if not value.ca:
        raise ValueError("no authority")


def _must_be_no_authority(
    _: Policy, __: x509.Certificate, value: x509.BasicConstraints | None
) -> None:
    if value is not None and value.ca:
        raise ValueError("an authority")


def _must_sign_certificates(_: Policy, __: x509.Certificate, value: x509.KeyUsage | None) -> None:
    if value is not None and not value.key_cert_sign:
        raise ValueError("may not sign certificates")


def _must_sign(_: Policy, __: x509.Certificate, value: x509.KeyUsage | None) -> None:
    if value is not None and (not value.digital_signature or value.key_cert_sign):
        raise ValueError("may not sign, or more than that")


def _must_be_client(_: Policy, __: x509.Certificate, value: x509.ExtendedKeyUsage | None) -> None:
    if value is not None and ExtendedKeyUsageOID.CLIENT_AUTH not in value:
        raise ValueError("not for clients")


_AGNOSTIC = Criticality.AGNOSTIC
# Looser than the web's rules where grids are: a person has no name in DNS.
_AUTHORITIES = (
    ExtensionPolicy.permit_all()
    .require_present(x509.BasicConstraints, _AGNOSTIC, _must_be_authority)
    .may_be_present(x509.KeyUsage, _AGNOSTIC, _must_sign_certificates)
)
_END_ENTITIES = (
    ExtensionPolicy.permit_all()
    .may_be_present(x509.BasicConstraints, _AGNOSTIC, _must_be_no_authority)
    .may_be_present(x509.KeyUsage, _AGNOSTIC, _must_sign)
    .may_be_present(x509.ExtendedKeyUsage, _AGNOSTIC, _must_be_client)
)


def _verify_end_entity(
    end_entity: x509.Certificate,
    above: Sequence[x509.Certificate],
    trust: Trust,
    now: datetime,
) -> list[x509.Certificate]:
    """Return the path from an end entity to a trusted authority."""
    if not trust.authorities:
        raise ChainError("no certificate authority is trusted here")
    verifier = (
        PolicyBuilder()
        .store(Store(list(trust.authorities)))
        .time(now)
        .max_chain_depth(MAX_AUTHORITIES)
        .extension_policies(ca_policy=_AUTHORITIES, ee_policy=_END_ENTITIES)
        .build_client_verifier()
    )
    try:
        return verifier.verify(end_entity, list(above)).chain
    except VerificationError:
        if not _is_within(end_entity, now):
            raise ChainExpiredError("the certificate has expired, or is not valid yet") from None
        raise ChainError("no authority that is trusted here vouches for the certificate") from None


def _check_subjects(path: Sequence[x509.Certificate], trust: Trust) -> None:
    """Hold each certificate against the signing policy of who issued it."""
    for certificate, issuer in pairwise(path):
        authority, subject = write_name(issuer.subject), write_name(certificate.subject)
        may_sign = trust.subjects.get(usual_name(authority))
        if may_sign is None and trust.needs_policies:
            raise ChainError(f"no signing policy says what {authority} may vouch for")
        if may_sign is not None and not covers(may_sign, subject):
            raise ChainError(f"its signing policy does not let {authority} vouch for {subject}")


def _check_revocation(path: Sequence[x509.Certificate], trust: Trust, now: datetime) -> None:
    for certificate, issuer in pairwise(path):
        lists = [one for one in trust.crls.get(issuer.subject, ()) if _is_current(one, issuer, now)]
        if not lists and (trust.needs_crls or issuer.subject in trust.crls):
            raise ChainError("there is no current revocation list of the certificate's authority")
        number = certificate.serial_number
        if any(one.get_revoked_certificate_by_serial_number(number) for one in lists):
            raise ChainError("the certificate was revoked")


def _is_current(
    revoked: x509.CertificateRevocationList, issuer: x509.Certificate, now: datetime
) -> bool:
    key, ends = issuer.public_key(), revoked.next_update_utc
    if ends is None or not revoked.last_update_utc <= now < ends:
        return False
    if any(one.critical for one in revoked.extensions):  # it is but a part, or something unknown
        return False
    usage = _find(issuer, x509.KeyUsage)
    if usage is not None and not usage.crl_sign:
        return False
    is_signed = isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey)
    return is_signed and revoked.is_signature_valid(key)  # type: ignore[arg-type]


# --- from the end entity down ---------------------------------------------------------------------


def _check_proxies(chain: Sequence[x509.Certificate], now: datetime) -> bool:
    """Hold each proxy against its issuer; return whether one of them is limited."""
    is_limited = False
    for below, (proxy, issuer) in enumerate(pairwise(chain)):
        info = _proxy_info(proxy)
        if info is None:
            raise ChainError("a proxy is none")
        if info.policy.language not in (_INHERIT_ALL, _LIMITED) or info.policy.policy is not None:
            raise ChainError("a proxy has a policy that is not understood here")
        is_limited = is_limited or info.policy.language == _LIMITED
        if info.path_length is not None and not below <= info.path_length:
            raise ChainError("a proxy has more proxies below it than it may")
        if not _is_within(proxy, now):
            raise ChainExpiredError("a proxy has expired, or is not valid yet")
        _check_names(proxy, issuer)
        _check_usage(proxy)
        _check_key(proxy)
        try:
            proxy.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature):
            raise ChainError("a proxy was not signed by its issuer") from None
    return is_limited


def _check_names(proxy: x509.Certificate, issuer: x509.Certificate) -> None:
    """RFC 3820, 3.2 and 3.4: the issuer's name, and one common name more."""
    rdns = proxy.subject.rdns
    is_one_more = (
        proxy.issuer == issuer.subject
        and list(rdns[:-1]) == list(issuer.subject.rdns)
        and [one.oid for one in rdns[-1]] == [NameOID.COMMON_NAME]
    )
    if not is_one_more:
        raise ChainError("a proxy is not named after its issuer")


def _check_usage(proxy: x509.Certificate) -> None:
    constraints, usage = _find(proxy, x509.BasicConstraints), _find(proxy, x509.KeyUsage)
    purposes = _find(proxy, x509.ExtendedKeyUsage)
    if constraints is not None and constraints.ca:
        raise ChainError("a proxy says that it is an authority")
    if usage is not None and (not usage.digital_signature or usage.key_cert_sign):
        raise ChainError("the key of a proxy is not for signatures")
    if purposes is not None and ExtendedKeyUsageOID.CLIENT_AUTH not in purposes:
        raise ChainError("the key of a proxy is not for clients")
    if any(_find(proxy, kind) is not None for kind in _FORBIDDEN):
        raise ChainError("a proxy has another name")
    if any(one.critical and one.oid not in _UNDERSTOOD for one in proxy.extensions):
        raise ChainError("a proxy demands something that is not understood here")


def _check_key(certificate: x509.Certificate) -> None:
    key, digest = certificate.public_key(), certificate.signature_hash_algorithm
    is_strong = (isinstance(key, ec.EllipticCurvePublicKey) and key.key_size >= _MIN_EC_BITS) or (
        isinstance(key, rsa.RSAPublicKey) and key.key_size >= _MIN_RSA_BITS
    )
    if not is_strong or digest is None or digest.name not in _HASHES:
        raise ChainError(
            f"a certificate has a weak key or signature: RSA of {_MIN_RSA_BITS} bits, a curve of "
            f"{_MIN_EC_BITS} and SHA-256 at least"
        )


def _proxy_info(certificate: x509.Certificate) -> _ProxyInfo | None:
    """Return what makes a certificate a proxy; None where it is none."""
    for extension in certificate.extensions:
        if extension.oid == _PROXY_INFO:
            value = extension.value
            if not extension.critical or not isinstance(value, x509.UnrecognizedExtension):
                raise ChainError("a proxy does not say so critically")
            try:
                return asn1.decode_der(_ProxyInfo, value.value)
            except ValueError:
                raise ChainError("a proxy's information cannot be read") from None
    return None


def _find(certificate: x509.Certificate, kind: type[E]) -> E | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _is_within(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc
