"""Policy documents of form uploads: what is read of them, and what a form must keep to."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3server.auth.post_policy import MAX_SIZE_BYTES, read_post_policy
from s3server.errors import AccessDenied, InvalidPolicyDocument

UNTIL = "2026-09-21T12:00:00.000Z"
EARLIER, LATER = 1_790_000_000.0 - 86_400, 1_800_000_000.0


def encode(document: Any) -> str:
    return base64.b64encode(json.dumps(document).encode()).decode()


def policy(*conditions: Any) -> str:
    return encode({"expiration": UNTIL, "conditions": list(conditions)})


def outcome(fields: dict[str, str], *conditions: Any, now: float = EARLIER) -> str:
    try:
        named = policy({"bucket": "data"}, *conditions)
        read_post_policy(named).check(fields, bucket="data", now=now)
    except AccessDenied as error:
        return error.message
    return "allowed"


def test_policy_has_to_name_the_bucket() -> None:
    with pytest.raises(AccessDenied, match="Extra input fields: bucket"):
        read_post_policy(policy({"key": "a"})).check({"key": "a"}, bucket="data", now=EARLIER)


@pytest.mark.parametrize(
    ("condition", "fields"),
    [
        ({"acl": "private"}, {"acl": "private"}),
        (["eq", "$acl", "private"], {"acl": "private"}),
        (["EQ", "$ACL", "private"], {"acl": "private"}),
        (["starts-with", "$key", "user/"], {"key": "user/a"}),
        (["starts-with", "$key", ""], {"key": ""}),
        (["starts-with", "$Content-Type", "image/"], {"content-type": "image/png, image/jpeg"}),
        ({"bucket": "data"}, {}),
        ({"bucket": "data"}, {"bucket": "data"}),
    ],
)
def test_condition_that_holds(condition: Any, fields: dict[str, str]) -> None:
    assert outcome(fields, condition) == "allowed"


@pytest.mark.parametrize(
    ("condition", "fields"),
    [
        ({"acl": "private"}, {"acl": "public-read"}),
        ({"acl": "private"}, {}),
        (["eq", "$acl", "Private"], {"acl": "private"}),
        (["starts-with", "$key", "user/"], {"key": "users"}),
        (["starts-with", "$key", ""], {}),
        (["starts-with", "$content-type", "image/"], {"content-type": "image/png,text/html"}),
        ({"bucket": "other"}, {"bucket": "other"}),
    ],
)
def test_condition_that_fails(condition: Any, fields: dict[str, str]) -> None:
    assert "Policy Condition failed" in outcome(fields, condition)


def test_field_without_condition_is_refused() -> None:
    assert "Extra input fields: acl" in outcome({"acl": "private"})
    free = {"policy": "", "x-amz-signature": "", "awsaccesskeyid": "", "x-ignore-me": ""}
    assert outcome(free) == "allowed"


def test_policy_ends() -> None:
    assert outcome({}, now=LATER) == "Invalid according to Policy: Policy expired."


def test_ranges_narrow_each_other() -> None:
    read = read_post_policy(
        policy(["content-length-range", 1, 100], ["content-length-range", "5", "200"])
    )
    assert (read.min_bytes, read.max_bytes) == (5, 100)
    assert read_post_policy(policy()).max_bytes == MAX_SIZE_BYTES


@pytest.mark.parametrize(
    "document",
    [
        [],
        {"conditions": []},
        {"expiration": UNTIL},
        {"expiration": UNTIL, "conditions": {}},
        {"expiration": UNTIL, "conditions": [], "more": 1},
        {"expiration": UNTIL, "CONDITIONS": []},
        {"expiration": "2026-09-21", "conditions": []},
        {"expiration": "soon TZ", "conditions": []},
        {"expiration": 5, "conditions": []},
        *(
            {"expiration": UNTIL, "conditions": [condition]}
            for condition in (
                "x",
                {},
                {"a": "b", "c": "d"},
                {"a": 1},
                ["eq", "acl", "x"],
                ["like", "$acl", "x"],
                ["eq", "$acl"],
                ["content-length-range", 1],
                ["content-length-range", 5, 1],
                ["content-length-range", -1, 1],
                ["content-length-range", "x", 1],
                ["content-length-range", True, 1],
                ["content-length-range", 1, "9" * 40],
            )
        ),
    ],
)
def test_malformed_document_is_refused(document: Any) -> None:
    with pytest.raises(InvalidPolicyDocument):
        read_post_policy(encode(document))


@pytest.mark.parametrize(
    "text", ["", "!", "bm8=", base64.b64encode(b"[" * 100_000).decode(), "\u00e9"]
)
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(InvalidPolicyDocument):
        read_post_policy(text)


def test_name_given_twice_is_refused() -> None:
    text = f'{{"expiration": "{UNTIL}", "conditions": [], "conditions": [{{"acl": "x"}}]}}'
    with pytest.raises(InvalidPolicyDocument):
        read_post_policy(base64.b64encode(text.encode()).decode())


@given(st.recursive(st.none() | st.text() | st.integers(), st.lists, max_leaves=8))
def test_any_condition_is_read_or_refused(condition: Any) -> None:
    try:
        read_post_policy(policy(condition))
    except InvalidPolicyDocument:
        return
