"""IAM as boto3 speaks it, to a server in this process: its serialiser and parser do the work."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import unquote, urlencode

import botocore.session
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from tests.support.asgi_client import Client
from tests.support.served import Store

FORM = {"content-type": "application/x-www-form-urlencoded"}
ACCOUNT = "000000000000"
ANY = {"Effect": "Allow", "Action": "*", "Resource": "*"}


class IamError(Exception):
    """An answer other than success."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status, self.code, self.message = status, code, message


@cache
def model(service: str) -> Any:
    return botocore.session.get_session().get_service_model(service)


@dataclass(frozen=True)
class Iam:
    """One client of IAM, STS or SNS: await iam("GetUser", UserName="ann")."""

    client: Client
    service: str = "iam"

    async def __call__(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Return the answer; raise IamError for another one than success."""
        shape = model(self.service).operation_model(operation)
        sent = create_serializer("query", False).serialize_to_request(parameters, shape)
        body = urlencode(sent["body"]).encode()
        answer = await self.client("POST", "/", body=body, headers=FORM)
        response = {"status_code": answer.status, "headers": {}, "body": answer.body}
        parsed = create_parser("query").parse(response, shape.output_shape)
        if answer.status >= 300:
            error = parsed["Error"]
            raise IamError(answer.status, error["Code"], error["Message"])
        del parsed["ResponseMetadata"]
        return dict(parsed)


def allow(*actions: str, resource: Any = "*", effect: str = "Allow", **more: Any) -> str:
    """Return a policy of one statement."""
    return policy({"Effect": effect, "Action": list(actions), "Resource": resource, **more})


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def trust(principal: Any = None) -> str:
    """Return a trust policy: of the account, where nobody else is named."""
    who = principal or {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    return policy({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": who})


def document(text: str) -> Any:
    """Return a document as boto3 decodes it."""
    return json.loads(unquote(text))


async def refusal(call: Any) -> tuple[int, str]:
    """Return status and code of what an awaited call is refused with."""
    try:
        await call
    except IamError as error:
        return error.status, error.code
    raise AssertionError("it was not refused")


async def make_user(store: Store, name: str, text: str = "", **more: Any) -> Client:
    """Make a user of root's with a key and perhaps a policy; return a client with the key."""
    root = Iam(store.root)
    await root("CreateUser", UserName=name, **more)
    if text:
        await root("PutUserPolicy", UserName=name, PolicyName="own", PolicyDocument=text)
    key = (await root("CreateAccessKey", UserName=name))["AccessKey"]
    return store.holder(key["AccessKeyId"], key["SecretAccessKey"])


async def make_policy(store: Store, name: str, text: str, **more: Any) -> str:
    """Make a managed policy; return its ARN."""
    made = await Iam(store.root)("CreatePolicy", PolicyName=name, PolicyDocument=text, **more)
    return str(made["Policy"]["Arn"])


def key_id(client: Client) -> str:
    """Return the id of the key that a client signs with."""
    assert client.key is not None
    return client.key.id
