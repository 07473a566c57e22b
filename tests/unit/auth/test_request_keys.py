"""Condition keys that no single request over the wire shows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from s3server.auth.request_keys import RequestKeys, Seen, keys_of_body, requester_of
from s3server.model import ANONYMOUS, HttpRequest, Principal

HTTP = HttpRequest("GET", "/data/key", "", {"host": "s3.test"})
OCTOBER = datetime(2026, 10, 1, tzinfo=UTC)
NOW_MS = 1_790_000_000_000


def keys(**fields: Any) -> RequestKeys:
    seen = {"principal": ANONYMOUS, "mechanism": "anonymous", "http": HTTP, "query": {}}
    return RequestKeys(Seen(**{**seen, "now_ms": NOW_MS, **fields}))


@pytest.mark.parametrize(
    ("operation", "request_", "expected"),
    [
        (
            "PutObjectTagging",
            {"Tagging": {"TagSet": [{"Key": "A", "Value": "1"}, {"Key": "b", "Value": ""}]}},
            {
                "s3:requestobjecttag/a": ("1",),
                "s3:requestobjecttag/b": ("",),
                "s3:requestobjecttagkeys": ("A", "b"),
            },
        ),
        (
            "PutObjectRetention",
            {"Retention": {"Mode": "COMPLIANCE", "RetainUntilDate": OCTOBER}},
            {
                "s3:object-lock-mode": ("COMPLIANCE",),
                "s3:object-lock-retain-until-date": ("2026-10-01T00:00:00+00:00",),
                "s3:object-lock-remaining-retention-days": ("10",),
            },
        ),
        ("PutObjectRetention", {"Retention": {}}, {"s3:object-lock-mode": ()}),
        (
            "PutObjectLegalHold",
            {"LegalHold": {"Status": "ON"}},
            {"s3:object-lock-legal-hold": ("ON",)},
        ),
        ("PutObjectLegalHold", {"LegalHold": {}}, {"s3:object-lock-legal-hold": ()}),
    ],
)  # fmt: skip
def test_keys_that_a_document_holds(
    operation: str, request_: dict[str, Any], expected: dict[str, tuple[str, ...]]
) -> None:
    found = keys(from_body=keys_of_body(operation, request_))
    assert {key: found.find(key) for key in expected} == expected


def test_tags_that_differ_in_case_only_are_none_of_them() -> None:
    found = keys(stored_tags=(("Kind", "raw"), ("kind", "cooked"), ("one", "1")))
    assert found.find("s3:existingobjecttag/kind") is None
    assert found.find("s3:existingobjecttag/one") == ("1",)
    assert found.find("s3:existingobjecttag/two") == ()


@pytest.mark.parametrize(
    ("principal", "arns"),
    [
        (Principal("user", "a", "ann", "red"), ("arn:aws:iam::red:user/ann",)),
        (Principal("root", "a", "root", "root"), ("arn:aws:iam::root:root",)),
        (Principal("user", "a", "ann", "red", path="/t/"), ("arn:aws:iam::red:user/t/ann",)),
        (Principal("session", "a", "ann", "red"), ("arn:aws:iam::red:user/ann",)),
        (
            Principal("session", "a", "job", "red", path="/t/", role="a", session_name="7"),
            ("arn:aws:sts::red:assumed-role/job/7", "arn:aws:iam::red:role/t/job"),
        ),
        (ANONYMOUS, ()),
    ],
)
def test_how_policies_name_a_principal(principal: Principal, arns: tuple[str, ...]) -> None:
    assert requester_of(principal).arns == arns


@pytest.mark.parametrize("key", ["aws:new", "s3:new", "", "s3:x-amz-meta-a"])
def test_key_that_nobody_knows(key: str) -> None:
    http = HttpRequest("GET", "/", "", {"x-amz-meta-a": "1", "new": "1"})
    assert keys(http=http).find(key.lower()) is None


def test_key_that_is_known_and_absent() -> None:
    for key in ("aws:sourcevpce", "aws:username", "s3:prefix", "s3:tlsversion", "aws:sourceip"):
        assert keys().find(key) == ()


def test_key_that_the_server_knows_cannot_be_sent() -> None:
    found = keys(from_body={"aws:userid": ("root",), "aws:username": ("root",)})
    assert found.find("aws:userid") == ("anonymous",)
    assert found.find("aws:username") == ()
