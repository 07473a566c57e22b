"""What signing policies let authorities vouch for."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from s3server.auth.ca_directory import AuthorityDirectory
from s3server.auth.proxy_chain import ChainError, verify_chain
from s3server.auth.signing_policy import SigningPolicyError, covers, read_signing_policy
from tests.support.grid_ca import Authority, proxy, subject_hash

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
CA = Authority(at=NOW)
ALICE = CA.user()
# As IGTF distributes them: comments, tabs, double quotes within single ones, several spellings.
IGTF = """
# EACL for the Grid CA
access_id_CA   X509     '/C=DE/O=GermanGrid/Email=ca@grid.de'
pos_rights     globus   CA:sign
cond_subjects  globus   '"/C=DE/O=GermanGrid/*" "/O=GermanGrid/USERID=?"'  # both

access_id_CA X509 "/O=Other"
pos_rights globus CA:sign
cond_subjects globus '/O=Other Grid/*'
"""
GERMAN = "/C=DE/O=GermanGrid/emailAddress=ca@grid.de"


@pytest.mark.parametrize(
    ("authority", "name", "is_covered"),
    [
        (GERMAN, "/C=DE/O=GermanGrid/CN=Alice", True),
        (GERMAN, "/O=GermanGrid/UID=a", True),
        (GERMAN, "/O=GermanGrid/UID=ab", False),
        (GERMAN, "/C=DE/O=GermanGridder/CN=Alice", False),
        (GERMAN, "/C=FR/O=GermanGrid/C=DE/O=GermanGrid/CN=Alice", False),
        (GERMAN, "/c=de/o=germangrid/CN=Alice", False),
        (GERMAN, "/O=Other Grid/CN=Alice", False),
        ("/O=Other", "/O=Other Grid/CN=Alice", True),
    ],
)
def test_authority_may_vouch_for_what_is_listed(authority, name, is_covered):
    assert covers(read_signing_policy(IGTF)[authority], name) == is_covered


def test_authority_without_the_right_or_without_subjects_may_vouch_for_nobody():
    for lines in (
        "access_id_CA X509 '/O=A'",
        "access_id_CA X509 '/O=A'\ncond_subjects globus '/*'",
        "access_id_CA X509 '/O=A'\npos_rights globus CA:other\ncond_subjects globus '/*'",
        "access_id_CA X509 '/O=A'\npos_rights gsi CA:sign\ncond_subjects globus '/*'",
        "access_id_CA X509 '/O=A'\npos_rights globus CA:sign\ncond_subjects gsi '/*'",
    ):
        assert read_signing_policy(lines) == {"/O=A": ()}
    assert read_signing_policy("") == {}


@pytest.mark.parametrize(
    "line",
    [
        "neg_rights globus CA:sign", "access_id_ANYBODY x '/*'", "pos_rights", "nonsense",
        "cond_subjects globus '/O=A", "cond_subjects globus /O=A/* /O=B/*", "pos_rights globus",
    ],
)  # fmt: skip
def test_what_is_not_understood_is_no_signing_policy(line):
    with pytest.raises(SigningPolicyError):
        read_signing_policy(f"access_id_CA X509 '/O=A'\n{line}")
    with pytest.raises(SigningPolicyError):
        read_signing_policy("cond_subjects globus '/*'")


def verify(directory: Path, holder=ALICE, *, needs_policies=True):
    trust = AuthorityDirectory(
        directory, needs_crls=True, needs_policies=needs_policies, allows_limited=False
    ).trust()
    return verify_chain(holder.chain, trust, NOW)


def policy_file(directory: Path) -> Path:
    return directory / f"{subject_hash(CA.certificate)}.signing_policy"


def test_policy_of_the_directory_is_held_against_chains(tmp_path):
    directory = CA.write(tmp_path / "ca")
    for holder in (ALICE, proxy(ALICE), proxy(proxy(ALICE), "2")):
        assert verify(directory, holder).common_name == "Alice"
    policy_file(directory).write_text(CA.signing_policy("/DC=org/DC=other/*"))
    for holder in (ALICE, proxy(ALICE)):
        with pytest.raises(ChainError, match="does not let"):
            verify(directory, holder)


def test_authority_without_a_policy_vouches_for_nobody_unless_the_settings_say_so(tmp_path):
    directory = CA.write(tmp_path / "ca")
    policy_file(directory).unlink()
    with pytest.raises(ChainError, match="no signing policy"):
        verify(directory)
    assert verify(directory, needs_policies=False).common_name == "Alice"


@pytest.mark.parametrize("content", [b"neg_rights globus CA:sign", b"\xff\xfe", b"x" * 100])
def test_authority_whose_policy_cannot_be_read_vouches_for_nobody(tmp_path, content):
    directory = CA.write(tmp_path / "ca")
    policy_file(directory).write_bytes(content)
    for needs_policies in (True, False):
        with pytest.raises(ChainError, match="signing policy"):
            verify(directory, needs_policies=needs_policies)


def test_policy_that_changes_counts_at_once(tmp_path):
    directory = CA.write(tmp_path / "ca")
    authorities = AuthorityDirectory(
        directory, needs_crls=True, needs_policies=True, allows_limited=False
    )
    assert verify_chain(ALICE.chain, authorities.trust(), NOW).common_name == "Alice"
    policy_file(directory).write_text(CA.signing_policy("/DC=org/DC=grid/CN=Bob"))
    with pytest.raises(ChainError, match="does not let"):
        verify_chain(ALICE.chain, authorities.trust(), NOW)
