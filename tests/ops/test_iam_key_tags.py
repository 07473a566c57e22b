"""Description, expiry and scope of access keys, through tags of their users."""

from __future__ import annotations

import pytest

from tests.support.asgi_client import Client
from tests.support.iam import Iam, allow, key_id, make_user, refusal
from tests.support.served import Store

NOT_FOUND = (404, "NoSuchEntity")


@pytest.fixture
def iam(store: Store) -> Iam:
    return Iam(store.root)


@pytest.fixture
async def ann(store: Store) -> Client:
    client = await make_user(store, "ann", allow("s3:*", "iam:*"))
    await client.made("/data", body=b"")
    await client.made("/data/raw/1", body=b"1")
    await client.made("/data/other", body=b"2")
    return client


def tag(client: Client, name: str, value: str) -> dict[str, object]:
    key = f"s3server:key/{key_id(client)}/{name}"
    return {"UserName": "ann", "Tags": [{"Key": key, "Value": value}]}


async def test_settings_are_listed_and_taken_away_like_tags(ann: Client, iam: Iam) -> None:
    await iam("TagUser", UserName="ann", Tags=[{"Key": "own", "Value": "x"}])
    sent = {
        "description": "beam line",
        "expires": "2027-01-31T12:00:00Z",
        "scope": "read-only",
    }
    for name, value in sent.items():
        await iam("TagUser", **tag(ann, name, value))
    listed = {
        each["Key"]: each["Value"] for each in (await iam("ListUserTags", UserName="ann"))["Tags"]
    }
    prefix = f"s3server:key/{key_id(ann)}/"
    assert listed == {"own": "x", **{prefix + name: value for name, value in sent.items()}}
    await iam("UntagUser", UserName="ann", TagKeys=[prefix + name for name in sent])
    assert (await iam("ListUserTags", UserName="ann"))["Tags"] == [{"Key": "own", "Value": "x"}]


async def test_key_ends_when_its_tag_says_so(store: Store, ann: Client, iam: Iam) -> None:
    moment = store.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    await iam("TagUser", **tag(ann, "expires", moment))
    store.clock.ms -= 1_000
    assert (await ann("GET", "/data/raw/1")).status == 200
    store.clock.ms += 1_000
    assert (await ann("GET", "/data/raw/1")).outcome == (403, "InvalidAccessKeyId")


@pytest.mark.parametrize(
    ("scope", "permitted"),
    [
        ("read-only", {"GET /data/raw/1", "GET /data/other", "GET /data?list-type=2", "GET /"}),
        ("s3://data/raw/", {"GET /data/raw/1", "PUT /data/raw/2"}),
        ("s3://data/raw/ read-only", {"GET /data/raw/1"}),
        ("s3://data", {"GET /data/raw/1", "GET /data/other", "GET /data?list-type=2",
                       "PUT /data/raw/2"}),
        ("s3://other s3://data/raw/", {"GET /data/raw/1", "PUT /data/raw/2"}),
        ("s3://other", set()),
    ],
)  # fmt: skip
async def test_scope_limits_a_key_whatever_its_user_may(
    ann: Client, iam: Iam, scope: str, permitted: set[str]
) -> None:
    await iam("TagUser", **tag(ann, "scope", scope))
    asked = ["GET /data/raw/1", "GET /data/other", "GET /data?list-type=2", "PUT /data/raw/2",
             "PUT /new", "GET /"]  # fmt: skip
    found = {each for each in asked if (await ann(*each.split(" ", 1))).status == 200}
    assert found == permitted
    listing = "/data?list-type=2&prefix=raw/"
    assert (await ann("GET", listing)).status == (403 if scope == "s3://other" else 200)
    assert await refusal(Iam(ann)("GetUser")) == (403, "AccessDenied")


async def test_key_of_a_scope_cannot_get_rid_of_it(ann: Client, iam: Iam) -> None:
    await iam("TagUser", **tag(ann, "scope", "s3://data"))
    limited = Iam(ann)
    key = f"s3server:key/{key_id(ann)}/scope"
    for call in (
        limited("UntagUser", UserName="ann", TagKeys=[key]),
        limited("CreateAccessKey", UserName="ann"),
        limited("CreateUser", UserName="bob"),
    ):
        assert await refusal(call) == (403, "AccessDenied")


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("expires", "tomorrow", "InvalidInput"),
        ("expires", "1969-12-31", "InvalidInput"),
        ("scope", "s3://B", "InvalidArgument"),
        ("scope", "write-only", "InvalidArgument"),
        ("colour", "red", "InvalidInput"),
    ],
)
async def test_what_is_no_setting_is_refused(
    ann: Client, iam: Iam, name: str, value: str, code: str
) -> None:
    assert await refusal(iam("TagUser", **tag(ann, name, value))) == (400, code)


async def test_key_of_another_user_is_not_set(store: Store, ann: Client, iam: Iam) -> None:
    bob = await make_user(store, "bob")
    assert await refusal(iam("TagUser", **tag(bob, "scope", "read-only"))) == NOT_FOUND


async def test_tags_of_a_user_and_of_keys_are_set_together_or_not_at_all(
    store: Store, ann: Client, iam: Iam
) -> None:
    own, of_key = {"Key": "own", "Value": "x"}, tag(ann, "description", "beam line")["Tags"]
    assert isinstance(of_key, list)
    strangers = {"Key": "s3server:key/AKIASTRANGER/description", "Value": "y"}
    with store.untouched():
        call = iam("TagUser", UserName="ann", Tags=[own, *of_key, strangers])
        assert await refusal(call) == NOT_FOUND
        too_many = [{"Key": f"k{number}", "Value": ""} for number in range(50)]
        assert (await refusal(iam("TagUser", UserName="ann", Tags=[*too_many, own, *of_key])))[0] in (400, 409)  # fmt: skip # noqa: E501
        keys = ["own", strangers["Key"], of_key[0]["Key"]]
        assert await refusal(iam("UntagUser", UserName="ann", TagKeys=keys)) == NOT_FOUND
    before = store.meta.commits
    await iam("TagUser", UserName="ann", Tags=[own, *of_key])
    assert store.meta.commits == before + 1
