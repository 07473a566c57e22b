"""Roles for holders of certificates and grid proxies, who prove who they are in TLS or by signing.

The operation is MinIO's; a challenge can take the place of its TLS, which works behind a proxy.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from s3server.auth.challenges import LIFETIME_MS, proves, signed_text
from s3server.auth.proxy_chain import Holder
from s3server.door import Provider
from s3server.errors import AccessDenied, ProofRefused, ValidationError
from s3server.model import Lineage
from s3server.operation import Ctx, handles
from s3server.ops.attributes import at
from s3server.ops.sts_requests import answer, find_role, read_duration, role_arn
from s3server.sessions import Grant

PROVIDER = Provider("x509", is_certificates=True)
_PROOF = ("Challenge", "CertificateChain", "Signature")
_NO_NAME = re.compile(r"[^A-Za-z0-9_+=,.@-]+")


@handles("GetCertificateChallenge")
async def get_certificate_challenge(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Return something to be signed with the key of a certificate."""
    now = ctx.services.clock.now_ms()
    challenge = ctx.certificates.challenges.make(now)
    return {"Challenge": challenge, "Expiration": at(now + LIFETIME_MS)}


@handles("AssumeRoleWithCertificate")
async def assume_role_with_certificate(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Let the holder of a certificate become a role that the rules give it."""
    holder = await _holder(ctx, request)
    roles = ctx.certificates.roles(holder)
    arn = request.get("RoleArn") or (roles[0] if roles else "")
    if arn not in roles:
        raise AccessDenied(f"No rule gives that role to {holder.dn}.")
    role = await find_role(ctx, arn)
    name = (_NO_NAME.sub("-", holder.common_name)[:64]).ljust(2, "-")
    more = {
        "x509:subject": (holder.dn,),
        "x509:issuer": (holder.issuer,),
        "x509:limited": (str(holder.is_limited).lower(),),
        "sts:rolesessionname": (name,),
    }
    ctx.door.confirm_role(ctx.caller, ["sts:AssumeRoleWithCertificate"], role, more, PROVIDER)
    grant = Grant(
        lineage=Lineage(roles=(role.id,), ends_ms=holder.ends_ms),
        duration_s=read_duration(request, longest_s=role.max_session_s),
        name=name,
        provider=PROVIDER.name,
        subject=holder.dn,
    )
    session, token = await ctx.sessions.issue(role.account, grant)
    return {"Credentials": answer(session, token), "AssumedRoleUser": role_arn(role, name)}


async def _holder(ctx: Ctx, request: dict[str, Any]) -> Holder:
    """Return who is proven to ask: by the answer to a challenge, or else by the connection."""
    now, chain = ctx.services.clock.now_ms(), ctx.http.client_chain
    if chain is not None and request.keys().isdisjoint(_PROOF):
        return await ctx.certificates.holder(chain, now)
    missing = [name for name in _PROOF if name not in request]
    if missing:
        raise ValidationError(f"The request must contain the parameter {missing[0]}.")
    ctx.certificates.challenges.check(request["Challenge"], now)
    holder = await ctx.certificates.holder(request["CertificateChain"], now)
    try:
        signature = base64.b64decode(request["Signature"].encode("ascii"), validate=True)
    except (ValueError, binascii.Error):
        signature = b""
    hosts = ctx.certificates.hosts(ctx.http.headers["host"])
    texts = [signed_text(host, request["Challenge"]) for host in hosts]
    if not any(proves(holder.leaf, signature, text) for text in texts):
        raise ProofRefused("The challenge was not signed with the key of the certificate.")
    return holder
