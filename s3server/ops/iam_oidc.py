"""Issuers of tokens, as IAM tells of them: those of the settings, which requests do not change."""

from __future__ import annotations

from typing import Any

from s3server.arns import iam_arn
from s3server.auth.oidc import Provider
from s3server.errors import NoSuchEntity
from s3server.operation import Ctx, handles


@handles("ListOpenIDConnectProviders")
async def list_open_id_connect_providers(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Return the ARNs of all issuers: each account's trust policies may name them."""
    return {"OpenIDConnectProviderList": [{"Arn": arn} for arn in _known(ctx)]}


@handles("GetOpenIDConnectProvider")
async def get_open_id_connect_provider(ctx: Ctx, request: dict[str, Any]) -> dict[str, Any]:
    """Return an issuer: the audiences that mean this server. Raises NoSuchEntity."""
    arn = request["OpenIDConnectProviderArn"]
    provider = _known(ctx).get(arn)
    if provider is None:
        raise NoSuchEntity(f"OpenIDConnect Provider not found for arn {arn}")
    # Its web server is certified as others are, by authorities: no thumbprints.
    return {"Url": provider.name, "ClientIDList": [*provider.audiences], "ThumbprintList": []}


def _known(ctx: Ctx) -> dict[str, Provider]:
    account = ctx.principal.account
    return {iam_arn(account, "oidc-provider", "/", each.name): each for each in ctx.providers.all}
