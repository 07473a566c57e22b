"""Temporary credentials: who somebody is, and roles that they become for a while.

Source: "AWS Security Token Service API Reference". Limits are AWS's.
"""

from __future__ import annotations

from typing import Any

from s3server import errors
from s3server.arns import arns_of, user_id_of
from s3server.auth.oidc import read_claim, verify
from s3server.auth.trust import tag_keys
from s3server.auth.wildcard import NO_KEYS, Pattern, read_template
from s3server.door import Provider
from s3server.errors import AccessDenied, NoSuchEntity
from s3server.model import Lineage, Principal
from s3server.operation import Ctx, handles
from s3server.ops.sts_requests import (
    Asked,
    answer,
    find_role,
    read_asked,
    read_duration,
    read_policies,
    role_arn,
)
from s3server.sessions import MAX_ROLES, Grant
from s3server.sts_errors import IDPRejectedClaim

_CHAIN_S = 3_600  # longest session of a role that a role became
_USER_S, _MAX_USER_S = 43_200, 129_600


@handles("GetCallerIdentity")
async def get_caller_identity(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Tell callers who they are."""
    who = ctx.principal
    return {"UserId": user_id_of(who), "Account": who.account, "Arn": arns_of(who)[0]}


@handles("GetSessionToken")
async def get_session_token(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Give a user a session of their own."""
    who = ctx.principal
    if who.kind != "user":
        raise AccessDenied("GetSessionToken is called with an access key of a user.")
    _refuse_mfa(request)
    duration_s = read_duration(request, longest_s=_MAX_USER_S, usual_s=_USER_S)
    grant = Grant(lineage=_lineage_of(who), duration_s=duration_s)
    session, token = await ctx.sessions.issue(who.account, grant)
    return {"Credentials": answer(session, token)}


@handles("AssumeRole")
async def assume_role(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Let a user, or a session, become a role that trusts them."""
    who = ctx.principal
    if who.is_root:
        raise AccessDenied("Roles may not be assumed by root.")
    _refuse_mfa(request)
    if request.get("ProvidedContexts"):
        raise errors.NotImplemented("ProvidedContexts are not implemented.")
    role = await find_role(ctx, request["RoleArn"])
    asked = read_asked(request, who)
    more = {"sts:rolesessionname": (asked.name,), **tag_keys(asked.tags, asked.transitive)}
    if "ExternalId" in request:
        more["sts:externalid"] = (request["ExternalId"],)
    if asked.source_identity:
        more["sts:sourceidentity"] = (asked.source_identity,)
    ctx.door.confirm_role(ctx.caller, _actions("sts:AssumeRole", asked), role, more)
    policies = await read_policies(ctx, request, role.account)
    longest_s = min(role.max_session_s, _CHAIN_S) if who.role else role.max_session_s
    duration_s = read_duration(request, longest_s=longest_s)
    lineage = _lineage_of(who)
    if len(lineage.roles) >= MAX_ROLES:
        raise AccessDenied("Too many roles lead from one to the next.")
    grant = Grant(
        lineage=Lineage(
            user=lineage.user,
            base_key=lineage.base_key,
            roles=(*lineage.roles, role.id),
            tags=(*lineage.tags, *(tag for tag in asked.tags if tag[0] in asked.transitive)),
            source_identity=asked.source_identity or lineage.source_identity,
            ends_ms=lineage.ends_ms,
        ),
        duration_s=duration_s,
        name=asked.name,
        policies=(*_handed_on(who), *policies),
        tags=(*lineage.tags, *asked.tags),
    )
    session, token = await ctx.sessions.issue(role.account, grant)
    result: dict[str, Any] = {
        "Credentials": answer(session, token),
        "AssumedRoleUser": role_arn(role, asked.name),
        **asked.packed(token, policies),
    }
    if grant.lineage.source_identity:
        result["SourceIdentity"] = grant.lineage.source_identity
    return result


@handles("AssumeRoleWithWebIdentity")
async def assume_role_with_web_identity(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Let whom an identity provider vouches for become a role that trusts that provider."""
    if request.get("ProviderId"):
        raise errors.NotImplemented("Tokens of OAuth 2.0 are not implemented: OpenID Connect is.")
    token = request["WebIdentityToken"]
    claim = read_claim(token)
    known = ctx.providers.provider(claim)
    key = await ctx.providers.find(known, claim)
    identity = verify(token, key, known, ctx.services.clock.now_ms() / 1000)
    role = await find_role(ctx, request["RoleArn"])
    patterns = [Pattern(read_template(text, variables=False)) for text in known.roles]
    if not any(one.matches(request["RoleArn"], NO_KEYS) for one in patterns):
        raise IDPRejectedClaim("Tokens of this issuer may not name this role.")
    asked = read_asked(request)
    more = {"sts:rolesessionname": (asked.name,), **identity.keys}
    provider = Provider(known.name)
    ctx.door.confirm_role(ctx.caller, ["sts:AssumeRoleWithWebIdentity"], role, more, provider)
    policies = await read_policies(ctx, request, role.account)
    grant = Grant(
        lineage=Lineage(roles=(role.id,)),
        duration_s=read_duration(request, longest_s=role.max_session_s),
        name=asked.name,
        policies=policies,
        provider=known.issuer,
        subject=identity.subject,
    )
    session, sealed = await ctx.sessions.issue(role.account, grant)
    return {
        "Credentials": answer(session, sealed),
        "AssumedRoleUser": role_arn(role, asked.name),
        "SubjectFromWebIdentityToken": identity.subject,
        "Provider": known.issuer,
        "Audience": identity.audience,
        **asked.packed(sealed, policies),
    }


@handles("GetAccessKeyInfo")
async def get_access_key_info(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Tell whose project an access key belongs to, where that is the caller's own, or root asks."""
    found = await ctx.services.users.find_key(request["AccessKeyId"])
    if found is None or not (ctx.principal.is_root or found[1].account == ctx.principal.account):
        raise NoSuchEntity(f"There is no access key {request['AccessKeyId'][:128]}.")
    return {"Account": found[1].account}


def _refuse_mfa(request: dict[str, Any]) -> None:
    if "SerialNumber" in request or "TokenCode" in request:
        raise AccessDenied("MultiFactorAuthentication failed: there are no devices here.")


def _lineage_of(who: Principal) -> Lineage:
    if who.kind == "session":
        return who.lineage
    return Lineage(user=who.id, base_key=who.access_key_id)


def _handed_on(who: Principal) -> tuple[str, ...]:
    """Return what limits a session of a limited one: its own policies.

    The scope of an access key is read anew with the key, in every request.
    """
    return who.session_policies if who.kind == "session" else ()


def _actions(action: str, asked: Asked) -> list[str]:
    """Return all that has to be allowed."""
    more = ["sts:TagSession"] if asked.tags else []
    more += ["sts:SetSourceIdentity"] if asked.source_identity else []
    return [action, *more]
