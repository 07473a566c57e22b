"""What requests for roles ask for, held against AWS's limits, and how they are answered."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from s3server.arns import ROLE_ID, unique_id
from s3server.auth.policy_parse import PolicyError, parse_policy
from s3server.auth.session_tokens import Session, packed_percent
from s3server.core.identity_records import RoleRecord
from s3server.errors import AccessDenied, ValidationError
from s3server.iam_errors import MalformedPolicyDocument
from s3server.model import Pairs, Principal
from s3server.operation import Ctx
from s3server.ops.attributes import at
from s3server.sts_errors import InvalidParameterValue, PackedPolicyTooLarge

MIN_DURATION_S, USUAL_DURATION_S = 900, 3_600
MAX_POLICIES, MAX_POLICY_CHARACTERS, MAX_TAGS = 10, 2_048, 50
_NAME = re.compile(r"[A-Za-z0-9_+=,.@-]{2,64}").fullmatch
_ROLE_ARN = re.compile(
    r"arn:aws:iam::([^:/]{1,64}):(role/(?:[!-~]{1,510}/)?([A-Za-z0-9_+=,.@-]{1,64}))"
).fullmatch
_TAG = re.compile(r"[\w\s.:/=+@-]*").fullmatch
_VERSION = "2012-10-17"


class Asked(msgspec.Struct, frozen=True):
    """What a session is to be."""

    name: str
    tags: Pairs = ()
    transitive: tuple[str, ...] = ()
    source_identity: str = ""

    def packed(self, token: str, policies: tuple[str, ...]) -> dict[str, int]:
        """Return how much room policies and tags take, where it has any."""
        return {"PackedPolicySize": packed_percent(token)} if policies or self.tags else {}


async def find_role(ctx: Ctx, arn: str) -> RoleRecord:
    """Return a role by its ARN. Raises AccessDenied for one that does not exist: as for others."""
    found = _ROLE_ARN(arn)
    if found is None:
        raise ValidationError("RoleArn is not the ARN of a role.")
    role = await ctx.services.iam.roles.find_role(found[1], found[3])
    if role is None or f"role{role.path}{role.name}" != found[2]:
        raise AccessDenied(f"Not authorized to perform sts:AssumeRole on {arn}.")
    return role


def read_duration(
    request: dict[str, Any], *, longest_s: int, usual_s: int = USUAL_DURATION_S
) -> int:
    """Return for how long a session is asked for. Raises ValidationError."""
    asked: int | None = request.get("DurationSeconds")
    if asked is None:
        return min(usual_s, longest_s)
    if not MIN_DURATION_S <= asked <= longest_s:
        raise ValidationError(
            f"DurationSeconds is from {MIN_DURATION_S} to {longest_s}, the longest session here."
        )
    return asked


def read_asked(request: dict[str, Any], who: Principal | None = None) -> Asked:
    """Return what a request for a role asks for; `who` hands transitive tags on to it.

    Raises ValidationError, InvalidParameterValue.
    """
    name, source = request["RoleSessionName"], request.get("SourceIdentity", "")
    if not _NAME(name) or (source and not _NAME(source)):
        raise ValidationError("RoleSessionName has 2 to 64 characters of A-Z, a-z, 0-9, _+=,.@-")
    tags = tuple((one["Key"], one["Value"]) for one in request.get("Tags") or ())
    transitive = tuple(request.get("TransitiveTagKeys") or ())
    inherited = who.lineage.tags if who is not None else ()
    if source and who is not None and who.lineage.source_identity not in ("", source):
        raise AccessDenied("The source identity of a session stays what it is.")
    _check_tags(tags, transitive, inherited)
    return Asked(name, tags, transitive, source)


def _check_tags(tags: Pairs, transitive: tuple[str, ...], inherited: Pairs) -> None:
    names = [name.lower() for name, _ in (*inherited, *tags)]
    legal = all(
        1 <= len(name) <= 128 and len(value) <= 256 and _TAG(name) and _TAG(value)
        for name, value in tags
    )
    if not legal or len(names) > MAX_TAGS or any(name.startswith("aws:") for name in names):
        raise InvalidParameterValue("A session tag is not valid, or they are too many.")
    if len(set(names)) != len(names):
        raise InvalidParameterValue("A session tag is given twice, or was handed on already.")
    if not set(transitive) <= {name for name, _ in tags}:
        raise InvalidParameterValue("A transitive tag key is none of a tag.")


async def read_policies(ctx: Ctx, request: dict[str, Any], account: str) -> tuple[str, ...]:
    """Return the session policies as one document: what any of them allows, they allow.

    To be asked of whom the role trusts: which policies there are is its project's affair. Raises
    ValidationError, MalformedPolicyDocument, PackedPolicyTooLarge.
    """
    texts = [request["Policy"]] if "Policy" in request else []
    arns = [one.get("arn", "") for one in request.get("PolicyArns") or ()]
    if len(arns) > MAX_POLICIES:
        raise ValidationError(f"There are at most {MAX_POLICIES} PolicyArns.")
    for arn in arns:
        text = await ctx.door.identities.text_of(arn, account)
        if text is None:
            raise ValidationError(f"There is no policy {arn[:128]}.")
        texts.append(text)
    if sum(map(len, texts)) > MAX_POLICY_CHARACTERS:
        raise PackedPolicyTooLarge
    return (_joined(texts),) if texts else ()


def _joined(texts: list[str]) -> str:
    """Return one document that says what several say."""
    for text in texts:
        try:
            parse_policy(text, has_principals=False)
        except PolicyError as error:
            raise MalformedPolicyDocument(str(error)) from None
    if len(texts) == 1:
        return texts[0]
    documents = [json.loads(text) for text in texts]
    if any(document.get("Version") != _VERSION for document in documents):
        raise MalformedPolicyDocument(f"Several session policies are all of version {_VERSION}.")
    statements: list[Any] = []
    for document in documents:
        found = document["Statement"]
        statements += found if isinstance(found, list) else [found]
    for statement in statements:
        statement.pop("Sid", None)  # unique within each, and perhaps not in all
    return json.dumps({"Version": _VERSION, "Statement": statements}, separators=(",", ":"))


def answer(session: Session, token: str) -> dict[str, Any]:
    """Return the credentials of an answer."""
    return {
        "AccessKeyId": session.access_key_id,
        "SecretAccessKey": session.secret,
        "SessionToken": token,
        "Expiration": at(session.expires_ms),
    }


def role_arn(role: RoleRecord, name: str) -> dict[str, str]:
    """Return who somebody is as a role."""
    return {
        "AssumedRoleId": f"{unique_id(ROLE_ID, role.id)}:{name}",
        "Arn": f"arn:aws:sts::{role.account}:assumed-role/{role.name}/{name}",
    }
