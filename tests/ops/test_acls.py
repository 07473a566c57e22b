"""ACLs of requests: what headers may say of grantees, in any order and spelling."""

from __future__ import annotations

import pytest

from tests.ops.test_bucket_acl import BOB, grants_of
from tests.support.served import Store

ALL = "http://acs.amazonaws.com/groups/global/AllUsers"


@pytest.mark.parametrize(
    ("header", "grantees"),
    [
        (f'id="{BOB}"', {BOB}),
        (f"id={BOB}", {BOB}),
        (f' ID = "{BOB}" ,uri="{ALL}"', {BOB, ALL}),
        (f'uri={ALL},emailaddress="bob@site.org"', {BOB, ALL}),
        (f'id="{BOB}",id="{BOB}"', {BOB}),
    ],
)
async def test_grantees_of_a_header(data: Store, header: str, grantees: set[str]) -> None:
    await data.enrol("alice", "bob")
    answer = await data.alice.sent("/data?acl", b"", headers={"x-amz-grant-read-acp": header})
    assert answer.status == 200
    shown = grants_of(await data.alice("GET", "/data?acl"))
    assert sorted(shown) == sorted((one, "READ_ACP") for one in grantees)


@pytest.mark.parametrize("header", ["x-amz-acl", "x-amz-grant-read"])
async def test_acl_of_a_signed_url_counts_like_the_header(data: Store, header: str) -> None:
    value = "public-read" if header == "x-amz-acl" else f"uri%3D%22{ALL}%22"
    target = f"/data/key?{header}={value}"
    assert (await data.alice("PUT", target, body=b"x", how="query")).status == 200
    assert (await data.nobody("GET", "/data/key")).body == b"x"


@pytest.mark.parametrize("many", [1, 30])
async def test_hostile_header_is_refused(data: Store, many: int) -> None:
    header = "id=a, " * many * 20 + '"'
    with data.untouched():
        answer = await data.alice.sent("/data?acl", b"", headers={"x-amz-grant-read": header})
    assert answer.outcome == (400, "InvalidArgument")
