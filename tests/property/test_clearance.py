"""What is cleared in advance is permitted, whatever else is so of the request and the object."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from s3server.auth.authorise import Said, authorise
from s3server.auth.clearance import Situation, clear
from s3server.auth.own_law import OwnLaw
from s3server.auth.policy import Policy, Question, Requester
from s3server.auth.policy_index import PolicyIndex
from s3server.auth.policy_parse import parse_policy
from s3server.core.records import BucketRecord, ObjectRecord
from s3server.door import verdict_there
from s3server.model import Principal, PublicAccessBlock

ACCOUNT, OTHER = "111111111111", "222222222222"
BUCKET = "arn:aws:s3:::b/"
ID, OWNER = "1" * 64, "2" * 64
KEYS = {
    "aws:sourceip": [("10.0.0.1",), ("192.0.2.1",), ()],
    "aws:securetransport": [("true",), ("false",)],
    "aws:username": [("ann",), ()],
    "s3:existingobjecttag/level": [("open",), ()],
}
OF_CONNECTION = ["aws:sourceip", "aws:securetransport"]


class Known:
    """Implements `wildcard.Keys`."""

    def __init__(self, values: dict[str, tuple[str, ...]]) -> None:
        self.find = values.get


def some(one: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(one, st.lists(one, min_size=1, max_size=3))


conditions = st.dictionaries(
    st.sampled_from(["", "ForAnyValue:", "ForAllValues:"]).flatmap(
        lambda quantifier: st.sampled_from(
            ["StringEquals", "StringNotEquals", "StringLikeIfExists", "StringNotLike"]
        ).map(lambda name: quantifier + name)
    ),
    st.dictionaries(
        st.sampled_from([*KEYS, "aws:unheard"]),
        some(st.sampled_from(["true", "ann", "open", "10.*", "${aws:username}", "*"])),
        min_size=1,
        max_size=2,
    ),
    max_size=2,
) | st.sampled_from([
    {},
    {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
    {"NotIpAddress": {"aws:SourceIp": ["10.0.0.0/8"]}},
    {"Bool": {"aws:SecureTransport": "false"}},
    {"Null": {"aws:SourceIp": "true"}},
    {"Null": {"aws:username": "false"}},
])  # fmt: skip
principals = st.sampled_from([
    "*",
    {"AWS": ACCOUNT},
    {"AWS": [OTHER]},
    {"AWS": f"arn:aws:iam::{ACCOUNT}:user/ann"},
    {"AWS": [f"arn:aws:iam::{ACCOUNT}:user/bob", OTHER]},
    {"CanonicalUser": ID},
])  # fmt: skip
resources = some(
    st.sampled_from([
        "*", "arn:aws:s3:::*", "arn:aws:s3:::b*", "arn:aws:s3:::b/*", "arn:aws:s3:::b/ann/*",
        "arn:aws:s3:::b/ann/x", "arn:aws:s3:::b/a*", "arn:aws:s3:::b/*x", "arn:aws:s3:::b/?nn/x",
        "arn:aws:s3:::b/${aws:username}/*", "arn:aws:s3:::b/${*}*", "arn:aws:s3:::other/*",
    ])
)  # fmt: skip
actions = some(st.sampled_from(["s3:GetObject", "s3:Get*", "s3:*", "*", "s3:PutObject"]))


@st.composite
def statements(draw: st.DrawFn, *, of_bucket: bool) -> dict[str, Any]:
    effect = draw(st.sampled_from(["Allow", "Allow", "Deny"]))
    statement = {
        "Effect": effect,
        draw(st.sampled_from(["Action", "Action", "NotAction"])): draw(actions),
        draw(st.sampled_from(["Resource", "Resource", "NotResource"])): draw(resources),
        "Condition": draw(conditions),
    }
    if of_bucket:
        opposite = effect == "Deny" and draw(st.booleans())
        statement["NotPrincipal" if opposite else "Principal"] = draw(principals)
    return statement


def policies(*, of_bucket: bool = False) -> st.SearchStrategy[Policy]:
    return st.lists(statements(of_bucket=of_bucket), min_size=1, max_size=3).map(
        lambda found: parse_policy(
            json.dumps({"Version": "2012-10-17", "Statement": found}), has_principals=of_bucket
        )
    )


laws = st.none() | st.builds(
    lambda is_bound, allowing, limits: OwnLaw(
        is_bound, PolicyIndex(allowing), tuple(PolicyIndex([one]) for one in limits)
    ),
    st.booleans(),
    st.lists(policies(), max_size=2),
    st.lists(policies(), max_size=1),
)
keys_of_request = st.fixed_dictionaries({key: st.sampled_from(all_) for key, all_ in KEYS.items()})
objects = st.none() | st.builds(
    ObjectRecord,
    sequence=st.just(1),
    size=st.just(0),
    etag=st.just(""),
    modified_ms=st.just(0),
    owner=st.sampled_from([ID, OWNER, ""]),
    acl=st.sampled_from(["", "private", "public-read"]),
)
buckets = st.builds(
    BucketRecord,
    id=st.just(b"1"),
    name=st.just("b"),
    owner=st.sampled_from([ID, OWNER]),
    account=st.just(ACCOUNT),
    created_ms=st.just(0),
    region=st.just(""),
    acl=st.sampled_from(["private", "public-read"]),
    ownership=st.sampled_from(["", "BucketOwnerEnforced"]),
)


@settings(max_examples=500)
@given(
    own=laws,
    there=st.none() | policies(of_bucket=True),
    action=st.sampled_from(["s3:GetObject", "s3:PutObject"]),
    key=st.sampled_from(["ann/x", "ann/y", "bob/x", "x", "*", "${*}"]),
    keys=keys_of_request,
    bucket=buckets,
    stored=objects,
    is_public=st.booleans(),
)
def test_what_is_cleared_is_permitted(
    own: OwnLaw | None, there: Policy | None, action: str, key: str,
    keys: dict[str, tuple[str, ...]], bucket: BucketRecord, stored: ObjectRecord | None,
    is_public: bool,
) -> None:  # fmt: skip
    who = Requester((f"arn:aws:iam::{ACCOUNT}:user/ann",), ACCOUNT, ID)
    index = None if there is None else PolicyIndex([there])
    connection = {name: values for name, values in keys.items() if name in OF_CONNECTION}
    cleared = clear(own, index, Situation(who, action, BUCKET, Known(connection)))
    if not cleared.permits(BUCKET + key):
        return
    question = Question(who, action, BUCKET + key, Known(keys))
    own_said = None if own is None else own.verdict(question)
    block = PublicAccessBlock(*[True] * 4)
    said = Said(own_policies=own_said, is_public=is_public, block=block)
    if index is not None:
        said = replace(said, bucket_policy=verdict_there(index, question, own_said, ACCOUNT))
    principal = Principal("user", ID, "ann", ACCOUNT)
    assert authorise(principal, action, bucket=bucket, stored=stored, said=said)


@pytest.mark.parametrize(
    ("principal", "resource"),
    [({"AWS": ACCOUNT}, f"{BUCKET}*"), ("*", BUCKET + "${aws:username}/*")],
    ids=["by the account", "by a variable"],
)
def test_what_the_bucket_denies_is_not_cleared(principal: Any, resource: str) -> None:
    allowing = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    denying = {**allowing, "Effect": "Deny", "Resource": resource, "Principal": principal}
    own, there = (
        parse_policy(
            json.dumps({"Version": "2012-10-17", "Statement": one}), has_principals=one is denying
        )
        for one in (allowing, denying)
    )
    case = Situation(Requester((), ACCOUNT, ID), "s3:GetObject", BUCKET, Known({}))
    law = OwnLaw(True, PolicyIndex([own]))
    assert clear(law, None, case).permits(BUCKET + "ann/x")
    assert not clear(law, PolicyIndex([there]), case).permits(BUCKET + "ann/x")


POLICIES = st.lists(
    st.tuples(st.sampled_from(["Allow", "Deny"]), resources), min_size=1, max_size=4
)


@settings(max_examples=150)
@given(POLICIES, st.sampled_from(["ann/x", "ann/y", "bob/x", "x", "*"]))
def test_without_variables_all_that_is_permitted_is_cleared(
    found: list[tuple[str, Any]], key: str
) -> None:
    """What is known of the connection decides its conditions, and nothing else is needed."""
    condition = {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}
    statements = [
        {"Effect": effect, "Action": "s3:*", "Resource": names, "Condition": condition}
        for effect, names in found
    ]
    # The version of which "${" is text.
    document = {"Version": "2008-10-17", "Statement": statements}
    own = OwnLaw(True, PolicyIndex([parse_policy(json.dumps(document), has_principals=False)]))
    keys = Known({"aws:sourceip": ("10.1.1.1",)})
    who = Requester((f"arn:aws:iam::{ACCOUNT}:user/ann",), ACCOUNT, ID)
    verdict = own.verdict(Question(who, "s3:GetObject", BUCKET + key, keys))
    cleared = clear(own, None, Situation(who, "s3:GetObject", BUCKET, keys))
    assert cleared.permits(BUCKET + key) is (verdict is not None and verdict.value == "allow")
