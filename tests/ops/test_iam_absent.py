"""What nobody has here is told as nothing, and not as something that is not implemented."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.iam import Iam, allow, make_user, refusal, trust
from tests.support.served import Store

NOT_FOUND = (404, "NoSuchEntity")


@pytest.fixture
async def iam(store: Store) -> Iam:
    iam = Iam(store.root)
    await iam("CreateUser", UserName="ann")
    await iam("CreateRole", RoleName="job", AssumeRolePolicyDocument=trust())
    return iam


@pytest.mark.parametrize(
    ("operation", "named"),
    [
        ("ListMFADevices", {"UserName": "ann"}),
        ("ListSSHPublicKeys", {"UserName": "ann"}),
        ("ListServiceSpecificCredentials", {"UserName": "ann"}),
        ("ListSigningCertificates", {"UserName": "ann"}),
        ("ListInstanceProfilesForRole", {"RoleName": "job"}),
        ("ListInstanceProfiles", {}),
        ("ListSAMLProviders", {}),
        ("ListServerCertificates", {}),
        ("ListVirtualMFADevices", {}),
    ],
)
async def test_list_of_what_nobody_has_is_empty(
    iam: Iam, operation: str, named: dict[str, Any]
) -> None:
    answer = await iam(operation, **named)
    assert [value for value in answer.values() if isinstance(value, list)] == [[]]
    assert answer.get("IsTruncated", False) is False
    for kind in named:
        assert await refusal(iam(operation, **{kind: "nobody"})) == NOT_FOUND


async def test_nobody_has_a_password(iam: Iam) -> None:
    for operation in ("GetLoginProfile", "DeleteLoginProfile"):
        assert await refusal(iam(operation, UserName="ann")) == NOT_FOUND
        assert await refusal(iam(operation, UserName="nobody")) == NOT_FOUND
    assert await refusal(iam("GetAccountPasswordPolicy")) == NOT_FOUND
    made = iam("CreateLoginProfile", UserName="ann", Password="secret-1")
    assert await refusal(made) == (501, "NotImplemented")


async def test_even_nothing_is_told_to_those_only_who_may_ask(store: Store, iam: Iam) -> None:
    bob = Iam(await make_user(store, "bob", allow("iam:ListMFADevices")))
    assert (await bob("ListMFADevices", UserName="ann"))["MFADevices"] == []
    denied = (403, "AccessDenied")
    assert await refusal(bob("ListSSHPublicKeys", UserName="ann")) == denied
    assert await refusal(bob("GetLoginProfile", UserName="nobody")) == denied
