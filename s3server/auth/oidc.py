"""Tokens of identity providers: OpenID Connect and WLCG. Pure; the keys are fetched elsewhere.

A token counts only if its issuer is configured, one of that issuer's own keys signed it with an
asymmetric algorithm, and it is meant for us, now. What it says before that chooses the issuer and
the key to hold it against, and nothing else. Sources: RFC 7519, RFC 8725, OpenID Connect Core 1.0
section 3.1.3.7, WLCG Common JWT Profiles 1.0.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey

from s3server.sts_errors import ExpiredTokenException, IDPRejectedClaim, InvalidIdentityToken

# Never "none", and nothing symmetric: a public key must not do as a secret (CVE-2024-48916).
ALGORITHMS = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519",
)  # fmt: skip
MAX_TOKEN_CHARACTERS = 20_000  # as AWS
LEEWAY_S = 60  # of an issuer's clock that is ahead; what has expired has expired
_MIN_RSA_BITS = 2_048
_MAX_VALUES, _MAX_VALUE_CHARACTERS = 256, 1_024
_SUBJECT = re.compile(r"[^\x00-\x1f\x7f]{1,255}").fullmatch

Key = RSAKey | ECKey | OKPKey


class _Registry(jws.JWSRegistry):
    max_header_length = 4_096
    max_payload_length = MAX_TOKEN_CHARACTERS


_REGISTRY = _Registry(algorithms=ALGORITHMS, strict_check_header=False)


class Provider(msgspec.Struct, frozen=True):
    """An issuer that the operator trusts."""

    issuer: str  # as it stands in its tokens: an https URL
    audiences: tuple[str, ...]  # by which its tokens mean us
    ca_file: str = ""  # what certifies its web server; "": what the system trusts
    roles: tuple[str, ...] = ("*",)  # ARNs that its tokens may name, * in them is a wildcard

    @property
    def name(self) -> str:
        """Return the issuer as policies name it: without "https://"."""
        return self.issuer.partition("://")[2].rstrip("/")


class Claim(msgspec.Struct, frozen=True):
    """What a token says of itself: whose it is, and which key signed it. Not proven."""

    issuer: str
    key_id: str | None
    algorithm: str


class WebIdentity(msgspec.Struct, frozen=True):
    """Whom an issuer vouches for."""

    provider: Provider
    subject: str
    audience: str  # the first one that is ours
    expires_ms: int
    keys: Mapping[str, tuple[str, ...]]  # condition keys: "idp.site.org:sub"


def read_claim(token: str) -> Claim:
    """Return which issuer and key a token must be held against. Raises InvalidIdentityToken."""
    if len(token) > MAX_TOKEN_CHARACTERS:
        raise InvalidIdentityToken("The token is too long.")
    try:
        unproven = jws.extract_compact(token.encode("ascii"), registry=_REGISTRY)
        header = unproven.headers()
        payload = msgspec.json.decode(unproven.payload)
        issuer, key_id, algorithm = payload["iss"], header.get("kid"), header["alg"]
    except (JoseError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise InvalidIdentityToken("The token is not a signed JSON Web Token.") from None
    if not isinstance(issuer, str) or not isinstance(key_id, str | None):
        raise InvalidIdentityToken("The token names no issuer, or no key.")
    if algorithm not in ALGORITHMS:
        raise InvalidIdentityToken("The token is not signed by an algorithm that counts here.")
    return Claim(issuer, key_id, algorithm)


def read_keys(document: Any) -> KeySet:
    """Return the keys of a JWKS document that can prove tokens. Raises ValueError for others."""
    try:
        usable = [key for key in document["keys"] if _is_usable(key)]
        return KeySet([key for key in map(_import, usable) if key is not None])
    except (KeyError, TypeError, AttributeError):
        raise ValueError("not a set of keys") from None


def _is_usable(key: Mapping[str, Any]) -> bool:
    is_asymmetric = key.get("kty") in ("RSA", "EC", "OKP")
    return (
        is_asymmetric and key.get("use", "sig") == "sig" and key.get("alg") in (None, *ALGORITHMS)
    )


def _import(key: Mapping[str, Any]) -> Key | None:
    kinds = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
    try:
        imported: Key = kinds[key["kty"]].import_key(dict(key))  # type: ignore[attr-defined]
        public = imported.public_key
    except (JoseError, ValueError, KeyError, TypeError):
        return None  # RFC 7517 section 5: a key that is not understood is ignored
    if isinstance(imported, RSAKey) and public.key_size < _MIN_RSA_BITS:  # type: ignore[union-attr]
        return None
    return imported


def find_key(keys: KeySet, claim: Claim) -> Key | None:
    """Return the key that a token says it is signed with: of one key it need not say so."""
    found = [key for key in keys if key.kid == claim.key_id]
    if claim.key_id is None:
        found = list(keys) if len(list(keys)) == 1 else []
    fitting = [key for key in found if key.get("alg") in (None, claim.algorithm)]
    return fitting[0] if len(fitting) == 1 else None  # type: ignore[return-value]


def verify(token: str, key: Key, provider: Provider, now_s: float) -> WebIdentity:
    """Return whom a token is about, once everything about it holds.

    Raises InvalidIdentityToken, ExpiredTokenException, IDPRejectedClaim.
    """
    try:
        claims = jwt.decode(token, key, algorithms=ALGORITHMS, registry=_REGISTRY).claims
    except (JoseError, ValueError, TypeError, RecursionError):
        raise InvalidIdentityToken("The token's signature is not valid.") from None
    if claims.get("iss") != provider.issuer:
        raise InvalidIdentityToken("The token is of another issuer.")
    expires = _check_times(claims, now_s)
    subject = claims.get("sub")
    if not isinstance(subject, str) or not _SUBJECT(subject):
        raise InvalidIdentityToken("The token names no subject.")
    ours = [one for one in _texts(claims.get("aud")) if one in provider.audiences]
    if not ours:
        raise IDPRejectedClaim("The token is not meant for this server: its aud is another.")
    return WebIdentity(
        provider, subject, ours[0], math.floor(expires * 1000), _condition_keys(provider, claims)
    )


def _check_times(claims: Mapping[str, Any], now_s: float) -> float:
    """Return when the token ends, POSIX."""
    expires, issued = _time(claims, "exp"), _time(claims, "iat")
    begins = _time(claims, "nbf") if "nbf" in claims else issued
    if expires <= now_s:
        raise ExpiredTokenException
    if max(begins, issued) > now_s + LEEWAY_S:
        raise InvalidIdentityToken("The token is not valid yet.")
    return expires


def _time(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= value < 1e11:  # type: ignore[operator]  # false for NaN
        raise InvalidIdentityToken(f"The token has no valid {name}.")
    return float(value)  # type: ignore[arg-type]


def _texts(value: object) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [one for one in values if isinstance(one, str)]


def _condition_keys(provider: Provider, claims: Mapping[str, Any]) -> Mapping[str, tuple[str, ...]]:
    """Return claims as keys of conditions, `<issuer>:<claim>`; WLCG's groups as `groups` too."""
    found: dict[str, tuple[str, ...]] = {}
    for name, value in claims.items():
        values: Iterable[str] = _texts(value)
        if name == "scope":
            values = [scope for text in values for scope in text.split(" ") if scope]
        if isinstance(value, bool):
            values = [str(value).lower()]
        kept = tuple(one for one in values if len(one) <= _MAX_VALUE_CHARACTERS)
        if kept and len(kept) <= _MAX_VALUES:
            found[f"{provider.name}:{name}".lower()] = kept
    groups = found.get(f"{provider.name}:wlcg.groups".lower())
    if groups is not None:
        found[f"{provider.name}:groups".lower()] = groups
    return found
