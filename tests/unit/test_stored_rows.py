"""Every table of a store is known to who reads all of its rows."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from bench.authorise import ROOT, Caller
from s3server import maintenance, stored_rows
from s3server.app import build
from s3server.core import identity_records, project_records, records, usage_records
from s3server.core.records import PolicyRecord, encode
from s3server.meta.base import CorruptRecordError
from s3server.settings import quickstart_config

DOCUMENT = Path(__file__).parents[2] / "docs/on-disk-format.md"


def letters(module: ModuleType) -> dict[str, bytes]:
    found = {name: value for name, value in vars(module).items() if name.isupper()}
    return {name: one for name, one in found.items() if isinstance(one, bytes) and len(one) == 1}


TABLES = [
    (name, letter)
    for module in (records, identity_records, project_records, usage_records)
    for name, letter in letters(module).items()
    if not (module is not records and hasattr(records, name))
]


def test_each_table_has_a_letter_of_its_own() -> None:
    given = [letter for _, letter in TABLES]
    assert len(given) > 30
    assert sorted(given) == sorted(set(given))


@pytest.mark.parametrize(("name", "letter"), TABLES)
def test_each_table_is_read(name: str, letter: bytes) -> None:
    known = {*stored_rows.RECORDS, *stored_rows.PLAIN, records.STORE}
    assert letter in known, name


def test_each_table_is_in_the_list_of_records_and_in_the_document() -> None:
    listed = (records.__doc__ or "").splitlines()
    rows = {part.split()[0] for line in listed if line[:4] == "    " for part in line.split(" / ")}
    text = DOCUMENT.read_text()
    for name, letter in TABLES:
        assert letter.decode() in rows, name
        assert f"`{letter.decode()}` " in text, name


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"\xff" + b"key", b""),  # no such table
        (b"Swhatever", encode(PolicyRecord(text=""))),  # nothing of the store's
        (project_records.QUOTAS_CHANGED, b"no counter"),
        (b"J000000000000\0alice", b"no id"),
        (b"L" + b"0" * 64 + b"KEY", b"\0"),
        (b"Q" + b"0" * 24, encode(PolicyRecord(text="{}"))[:-1] + b"\0"),
        (b"N" + b"0" * 8 + b"objects", b"\0" * 7),
    ],
)
def test_what_no_table_holds_is_refused(key: bytes, value: bytes) -> None:
    with pytest.raises(CorruptRecordError):
        stored_rows.read_row(key, value)


TRUST = (
    '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",'
    ' "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}'
)
RIGHTS = (
    '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",'
    ' "Action": "s3:*", "Resource": "*"}]}'
)


async def test_a_store_of_identities_has_no_findings(tmp_path: Path) -> None:
    config = quickstart_config(tmp_path, access_key=ROOT.access_key, secret_key=ROOT.secret_key)
    await maintenance.initialise(config)
    application = build(config, slot=0)
    await application.open()
    try:
        root = Caller(application.asgi, ROOT)
        await root.iam("CreateUser", UserName="alice")
        await root.iam("CreateAccessKey", UserName="alice")
        await root.iam("CreateGroup", GroupName="team")
        await root.iam("AddUserToGroup", UserName="alice", GroupName="team")
        await root.iam("PutGroupPolicy", GroupName="team", PolicyName="p", PolicyDocument=RIGHTS)
        await root.iam("CreateRole", RoleName="robot", AssumeRolePolicyDocument=TRUST)
        made = await root.iam("CreatePolicy", PolicyName="all", PolicyDocument=RIGHTS)
        await root.iam("AttachRolePolicy", RoleName="robot", PolicyArn=made["Arn"])
        await root.do("PUT", "/bucket")
        await root.do("PUT", "/bucket/key", b"data")
    finally:
        await application.close()
    findings = await maintenance.verify_metadata(config)
    assert findings.problems == []
    assert findings.counts["rows"] > 20
