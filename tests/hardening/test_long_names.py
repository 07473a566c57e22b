"""However long a name or an ARN is that IAM, STS or SNS are asked about: it is no fault of ours."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support.iam import ACCOUNT, Iam, IamError, model, trust
from tests.support.served import Store

LONG = (
    "a" * 2_100,
    "é" * 1_000,
    "a/" * 1_000,
    f"arn:aws:iam::{ACCOUNT}:policy/{'a' * 2_000}",
    f"arn:aws:iam::{ACCOUNT}:role/{'a' * 2_000}",
    f"arn:aws:iam::{'1' * 2_000}:user/a",
    f"arn:aws:sns:us-east-1:{ACCOUNT}:{'a' * 2_000}",
)
POLICY = "arn:aws:iam::aws:policy/ReadOnlyAccess"


def sample(shape: Any, name: str) -> Any:
    """Return a value that a member may have: "x" is a user, a role, a group."""
    if shape.type_name == "string":
        return shape.enum[0] if shape.enum else POLICY if "Arn" in name else "x"
    if shape.type_name == "list":
        return [sample(shape.member, name)]
    if shape.type_name == "structure":
        return {key: sample(shape.members[key], key) for key in shape.required_members}
    plain = {"integer": 1, "boolean": True, "timestamp": datetime(2030, 1, 1, tzinfo=UTC)}
    return plain.get(shape.type_name, {})


def requests(service: str) -> list[tuple[str, dict[str, Any]]]:
    """Return requests of each operation, in which one text each is a long one."""
    found = []
    for name in model(service).operation_names:
        shape = model(service).operation_model(name).input_shape
        members = {} if shape is None else shape.members
        asked = {key: sample(members[key], key) for key in members if key in shape.required_members}
        texts = [key for key, member in members.items() if member.type_name == "string"]
        found += [(name, {**asked, key: long}) for key in texts for long in LONG]
    return found


@pytest.mark.parametrize("service", ["iam", "sts", "sns"])
async def test_long_names_are_errors_of_the_client(store: Store, service: str) -> None:
    iam = Iam(store.root)
    for kind in ("User", "Group"):
        await iam(f"Create{kind}", **{f"{kind}Name": "x"})
    await iam("CreateRole", RoleName="x", AssumeRolePolicyDocument=trust())
    client = Iam(store.root, service)
    faults = []
    for operation, asked in requests(service):
        try:
            await client(operation, **asked)
        except IamError as error:
            if error.status >= 500 and error.code != "NotImplemented":
                faults.append((operation, asked))
    assert faults == []
