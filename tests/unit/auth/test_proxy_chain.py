"""Chains of certificates: an authority, a user, proxies, and every way to break one."""

from copy import copy
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from s3server.auth.proxy_chain import ChainError, Trust, read_chain, verify_chain, write_name
from s3server.auth.signing_policy import read_signing_policy
from tests.support.grid_ca import (
    DAY,
    INDEPENDENT,
    LIMITED,
    PROXY_INFO,
    Authority,
    Holder,
    issue,
    key_usage,
    name,
    new_key,
    person,
    proxy,
    proxy_info,
)

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
CA, OTHER = Authority(at=NOW), Authority("Other CA", at=NOW)
ALICE = CA.user()
FIRST = proxy(ALICE)
SECOND = proxy(FIRST, "2")
REVOKED = CA.user("Mallory")
CA.revoked.append(REVOKED.certificate)
TRUST = Trust(
    (CA.certificate,), {CA.subject: (CA.crl(),)}, read_signing_policy(CA.signing_policy("/*"))
)
DN = "/DC=org/DC=grid/CN=Alice"


def check(holder, *, now=NOW, **trust):
    return verify_chain(holder.chain, msgspec.structs.replace(TRUST, **trust), now)


@pytest.mark.parametrize("holder", [ALICE, FIRST, SECOND], ids=["user", "proxy", "proxy of proxy"])
def test_chain_stands_for_its_end_entity(holder):
    found = check(holder)
    assert (found.dn, found.issuer) == (DN, "/DC=org/DC=grid/CN=Grid CA")
    assert found.common_name == "Alice"
    assert found.leaf == holder.certificate
    assert not found.is_limited


def test_chain_ends_with_its_first_certificate_that_does():
    assert check(ALICE).ends_ms == int((NOW + 30 * DAY).timestamp() * 1000)
    assert check(SECOND).ends_ms == int((NOW + timedelta(hours=12)).timestamp() * 1000)
    short = proxy(proxy(ALICE, lasts=timedelta(hours=1)), "2")
    assert check(short).ends_ms == int((NOW + timedelta(hours=1)).timestamp() * 1000)


def test_root_may_be_sent_too():
    assert check(replace(FIRST, above=(*FIRST.above, CA.certificate))).dn == DN


def test_rsa_proxy_of_a_user_is_one():
    assert check(proxy(ALICE, kind="RSA2048")).dn == DN


def test_limited_proxy_is_accepted_where_the_settings_say_so_and_stays_limited():
    limited = proxy(ALICE, info=proxy_info(LIMITED))
    for holder in (limited, proxy(limited)):
        with pytest.raises(ChainError, match="limited"):
            check(holder)
        assert check(holder, allows_limited=True).is_limited


def test_path_length_allows_so_many_proxies_and_no_more():
    one = proxy(ALICE, info=proxy_info(path_length=1))
    assert check(proxy(one)).dn == DN
    with pytest.raises(ChainError, match="more proxies"):
        check(proxy(proxy(one)))
    with pytest.raises(ChainError, match="more proxies"):
        check(proxy(proxy(ALICE, info=proxy_info(path_length=0))))


def with_extensions(*more, usage=None, info=None, critical=True):
    usual = (info or proxy_info(), critical), (usage or key_usage(), True)
    return proxy(ALICE, extensions=(*usual, *more))


def test_names():
    names = x509.SubjectAlternativeName([x509.DNSName("evil.org")])
    with pytest.raises(ChainError, match="another name"):
        check(with_extensions((names, False)))


CA_BIT = x509.BasicConstraints(ca=True, path_length=None)
SERVER = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
TWO_NAMES = x509.Name([
    *ALICE.certificate.subject.rdns,
    x509.RelativeDistinguishedName([
        x509.NameAttribute(NameOID.COMMON_NAME, "1"), x509.NameAttribute(NameOID.TITLE, "x"),
    ]),
])  # fmt: skip
AUTHORITY_USER = CA.user("Sub CA", extensions=((CA_BIT, True), (key_usage(certifies=True), True)))


def authority(*more, lasts=365 * DAY, usage=None, ca=True, path_length=0, common_name="Sub CA"):
    """Return an authority that the root vouches for, and `more` extensions of it."""
    constraints = x509.BasicConstraints(ca=ca, path_length=path_length if ca else None)
    usual = (constraints, True), (usage or key_usage(certifies=True, crls=True), True)
    return CA.user(common_name, extensions=(*usual, *more), lasts=lasts)


def of_sub(holder, **trust):
    """Check a chain through an authority below the root, which has its own revocation list."""
    lists = {CA.subject: (CA.crl(),), SUB.certificate.subject: (crl_of(SUB),)}
    policies = {"/DC=org/DC=grid/CN=Sub CA": TRUST.subjects[str(write_name(CA.subject))]}
    return check(holder, **{"crls": lists, "subjects": {**TRUST.subjects, **policies}, **trust})


def crl_of(holder):
    below = copy(CA)
    below.subject, below.key, below.revoked = holder.certificate.subject, holder.key, []
    return below.crl()


SUB = authority()
IN_GRID = x509.NameConstraints([x509.DirectoryName(name(
    (NameOID.DOMAIN_COMPONENT, "org"), (NameOID.DOMAIN_COMPONENT, "other")))], None)  # fmt: skip
BROKEN_BELOW = {
    "authority without the bit": authority(ca=False),
    "authority that may not certify": authority(usage=key_usage(certifies=False)),
    "authority that ended": authority(lasts=timedelta(0)),
    "authority with names that it may not exceed": authority((IN_GRID, True)),
    "authority that demands something unknown": authority((UNKNOWN, True)),
}


def test_authority_below_the_root_vouches_for_its_users():
    for holder in (CA.below(SUB), proxy(CA.below(SUB))):
        assert of_sub(holder).issuer == "/DC=org/DC=grid/CN=Sub CA"


@pytest.mark.parametrize("case", BROKEN_BELOW)
def test_broken_authority_below_the_root_vouches_for_nobody(case):
    sub = BROKEN_BELOW[case]
    with pytest.raises(ChainError):
        of_sub(proxy(CA.below(sub)))


def test_authority_below_one_that_may_have_none_vouches_for_nobody():
    constraints = x509.BasicConstraints(ca=True, path_length=None)
    lower = CA.below(SUB)
    made = issue(
        person("Lower CA"), SUB.certificate.subject, SUB.key, at=NOW,
        extensions=((constraints, True), (key_usage(certifies=True), True)),
    )  # fmt: skip
    lower = Holder(*made, above=tuple(SUB.chain))
    with pytest.raises(ChainError, match="vouches"):
        of_sub(CA.below(lower))


def test_revoked_authority_vouches_for_nobody():
    revoking = copy(CA)
    revoking.revoked = [SUB.certificate]
    lists = {CA.subject: (revoking.crl(),), SUB.certificate.subject: (crl_of(SUB),)}
    with pytest.raises(ChainError, match="revoked"):
        of_sub(CA.below(SUB), crls=lists)


def test_each_authority_of_a_path_needs_a_list_and_a_policy():
    with pytest.raises(ChainError, match="revocation list"):
        of_sub(CA.below(SUB), crls=TRUST.crls)
    with pytest.raises(ChainError, match="signing policy"):
        of_sub(CA.below(SUB), subjects=TRUST.subjects)


BROKEN = {
    "expired proxy": proxy(ALICE, at=NOW - DAY, lasts=timedelta(hours=1)),
    "proxy that begins later": proxy(ALICE, at=NOW + DAY),
    "expired user under a proxy": proxy(CA.user(at=NOW - 3 * DAY, lasts=DAY), at=NOW),
    "expired proxy under a proxy": proxy(
        proxy(ALICE, at=NOW - DAY, lasts=timedelta(hours=1)), at=NOW
    ),
    "issuer that is another": proxy(ALICE, issuer=person("Bob")),
    "subject that is another's": proxy(ALICE, subject=person("Bob")),
    "subject that is the issuer's": proxy(ALICE, subject=ALICE.certificate.subject),
    "subject with two names more": proxy(
        ALICE, subject=proxy(FIRST).certificate.subject
    ),
    "subject with another kind of name more": proxy(
        ALICE, subject=x509.Name([*ALICE.certificate.subject.rdns, x509.RelativeDistinguishedName(
            [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "1")])]),
    ),
    "subject with a double name more": proxy(ALICE, subject=TWO_NAMES),
    "signature of another key": proxy(ALICE, signer=new_key()),
    "signature of the root": proxy(ALICE, signer=CA.key),
    "authority bit": with_extensions((CA_BIT, True)),
    "key that signs certificates": with_extensions(usage=key_usage(certifies=True)),
    "key that signs nothing": with_extensions(usage=key_usage(signs=False)),
    "key for servers": with_extensions((SERVER, False)),
    "unknown critical extension": with_extensions((UNKNOWN, True)),
    "information that is not critical": with_extensions(critical=False),
    "no information": proxy(ALICE, extensions=((key_usage(), True),)),
    "information that is none": with_extensions(
        info=x509.UnrecognizedExtension(PROXY_INFO, b"\x30\x00")
    ),
    "information with something behind it": with_extensions(
        info=x509.UnrecognizedExtension(PROXY_INFO, proxy_info().value + b"\x05\x00")
    ),
    "independent proxy": proxy(ALICE, info=proxy_info(INDEPENDENT)),
    "policy that nobody knows": proxy(ALICE, info=proxy_info("1.2.3.4")),
    "weak key": proxy(ALICE, kind="RSA1024"),
    "weak curve": proxy(ALICE, kind="EC192"),
    "weak signature": proxy(ALICE, digest=hashes.SHA224()),
    "weak key of a user": CA.user(kind="RSA1024"),
    "weak signature of a user": CA.user(digest=hashes.SHA224()),
    "user with something unknown": CA.user(extensions=((key_usage(), True), (UNKNOWN, True))),
    "issuer with another name": with_extensions(
        (x509.IssuerAlternativeName([x509.DNSName("evil.org")]), False)
    ),
    "proxy of an authority": proxy(AUTHORITY_USER),
    "end entity that is an authority": AUTHORITY_USER,
    "proxy of the root": proxy(replace(ALICE, key=CA.key, certificate=CA.certificate, above=())),
    "unknown authority": OTHER.user(),
    "proxy of an unknown authority's user": proxy(OTHER.user()),
    "authority's name, another key": Authority(at=NOW).user(),
    "revoked user": REVOKED,
    "proxy of a revoked user": proxy(REVOKED),
    "key that may not sign": CA.user(extensions=((key_usage(signs=False), True),)),
    "certificate for servers": CA.user(extensions=((SERVER, False),)),
    "ambiguous name": CA.user("x/CN=Alice"),
    "name with a line break": CA.user("x\nCN"),
    "proxies in the wrong order": replace(
        ALICE, certificate=ALICE.certificate, above=(FIRST.certificate,)
    ),
    "proxy without its issuer": replace(FIRST, above=()),
    "proxy with another issuer's certificate": replace(FIRST, above=(CA.user().certificate,)),
    "a proxy left out": replace(SECOND, above=tuple(ALICE.chain)),
    "too many": replace(ALICE, above=(CA.certificate,) * 20),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_broken_chain_proves_nobody(case):
    with pytest.raises(ChainError):
        check(BROKEN[case], allows_limited=True)


def test_end_entity_that_expired_or_begins_later_proves_nobody():
    for now in (NOW + 31 * DAY, NOW - DAY):
        crl = Authority.crl(CA, lasts=100 * DAY)
        with pytest.raises(ChainError, match="expired"):
            check(ALICE, now=now, crls={CA.subject: (crl,)})


CRLS = {
    "none": (),
    "expired": (CA.crl(lasts=timedelta(0)),),
    "signed by another": (CA.crl(signer=OTHER.key),),
    "of a part only": (
        CA.crl(critical=x509.IssuingDistributionPoint(
            None, None, only_contains_user_certs=True, only_contains_ca_certs=False,
            only_some_reasons=None, indirect_crl=False, only_contains_attribute_certs=False,
        )),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CRLS)
def test_authority_without_a_current_list_vouches_for_nobody(case):
    with pytest.raises(ChainError, match="revocation"):
        check(ALICE, crls={CA.subject: CRLS[case]})
    if CRLS[case]:  # where there is a list, it counts whatever the settings say
        with pytest.raises(ChainError, match="revocation"):
            check(ALICE, crls={CA.subject: CRLS[case]}, needs_crls=False)


def test_settings_may_do_without_lists_where_there_are_none():
    assert check(ALICE, crls={}, needs_crls=False).dn == DN
    with pytest.raises(ChainError, match="revocation"):
        check(ALICE, crls={})


def test_no_authority_means_nobody():
    with pytest.raises(ChainError):
        check(ALICE, authorities=())


def test_name_that_has_no_short_form_is_written_by_its_number():
    holder = CA.user(subject=name((NameOID.COUNTRY_NAME, "FR"), (NameOID.PSEUDONYM, "p")))
    assert check(holder).dn == "/C=FR/2.5.4.65=p"


@pytest.mark.parametrize(
    "text",
    ["", "x", "é", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "A" * 200_000],
)
def test_what_are_no_certificates_is_refused(text):
    with pytest.raises(ChainError):
        read_chain(text)
    assert read_chain(SECOND.chain_pem) == SECOND.chain
