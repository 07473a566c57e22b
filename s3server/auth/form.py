"""Who sent a form: its fields carry the proof, which covers the policy document and nothing else.

Source: "Authenticating Requests in Browser-Based Uploads Using POST (AWS Signature Version 4)",
Amazon S3 API reference; for Version 2 "Browser-Based Uploads Using POST" of the developer guide.
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Mapping

from s3server.auth import sigv4
from s3server.auth.authenticate import NO_SECRET, AuthSettings, Lookup, known_credential
from s3server.auth.credentials import Credential
from s3server.errors import (
    InvalidAccessKeyId,
    InvalidArgument,
    InvalidRequest,
    SignatureDoesNotMatch,
)
from s3server.model import ANONYMOUS, Identity

# The longest that a signing key is good for: that of presigned URLs.
_LIFETIME = str(sigv4.MAX_EXPIRY_S)
_V4 = ("x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature")
_V2 = ("awsaccesskeyid", "signature")


async def authenticate_form(
    fields: Mapping[str, str], *, lookup: Lookup, settings: AuthSettings, now: float
) -> Identity:
    """Return who signed a form whose fields have names in lower case; nobody where none did.

    Raises InvalidArgument for a proof in part, or two, and the errors of signed URLs.
    """
    is_v4, is_v2 = (any(name in fields for name in names) for names in (_V4, _V2))
    if is_v4 and is_v2:
        raise InvalidArgument("Only one auth mechanism allowed", ArgumentName="x-amz-algorithm")
    if is_v4:
        return await _version_4(fields, lookup, settings, now)
    if is_v2:
        return await _version_2(fields, lookup, settings)
    if "policy" in fields:
        raise _missing("AWSAccessKeyId")
    return Identity(ANONYMOUS, "anonymous")


async def _version_4(
    fields: Mapping[str, str], lookup: Lookup, settings: AuthSettings, now: float
) -> Identity:
    policy = _policy(fields, _V4)
    parameters = {name: fields[name] for name in _V4}
    parameters |= {"x-amz-expires": _LIFETIME, "x-amz-signedheaders": "host"}
    claim = sigv4.read_query(parameters, {})
    sigv4.check(claim, {}, region=settings.region, aliases=settings.region_aliases, now=now)
    if claim.service != "s3":
        raise sigv4.malformed(claim, f'incorrect service "{claim.service}".')
    credential = await lookup(claim.access_key_id, fields.get("x-amz-security-token"))
    secret = credential.secret if credential else NO_SECRET
    key = sigv4.signing_key(secret, claim.date, claim.region, claim.service)
    _compare(key.hex(policy), claim.signature, claim.access_key_id, policy, credential)
    return _identity(credential, claim.access_key_id)


async def _version_2(fields: Mapping[str, str], lookup: Lookup, settings: AuthSettings) -> Identity:
    if not settings.allow_sigv2:
        raise InvalidRequest(
            "The authorization mechanism you have provided is not supported. "
            "Please use AWS4-HMAC-SHA256."
        )
    policy = _policy(fields, _V2)
    key_id = fields["awsaccesskeyid"]
    credential = await lookup(key_id, fields.get("x-amz-security-token"))
    secret = credential.secret if credential else NO_SECRET
    expected = b64encode(hmac.digest(secret.encode(), policy, "sha1")).decode()
    _compare(expected, fields["signature"], key_id, policy, credential)
    return _identity(credential, key_id)


def _policy(fields: Mapping[str, str], needed: tuple[str, ...]) -> bytes:
    for name in ("policy", *needed):
        if not fields.get(name):
            raise _missing("AWSAccessKeyId" if name == "awsaccesskeyid" else name)
    return fields["policy"].encode()


def _missing(name: str) -> InvalidArgument:
    return InvalidArgument(
        f"Bucket POST must contain a field named '{name}'.  "
        "If it is specified, please check the order of the fields.",
        ArgumentName=name,
        ArgumentValue="",
    )


def _compare(
    expected: str, given: str, key_id: str, policy: bytes, credential: Credential | None
) -> None:
    if hmac.compare_digest(expected.encode(), given.encode()):
        return
    if credential is None:
        raise InvalidAccessKeyId(AWSAccessKeyId=key_id)
    raise SignatureDoesNotMatch(
        AWSAccessKeyId=key_id,
        StringToSign=policy.decode(),
        SignatureProvided=given,
        StringToSignBytes=policy.hex(" "),
    )


def _identity(credential: Credential | None, key_id: str) -> Identity:
    known = known_credential(credential, key_id)
    return Identity(known.principal, "post")
