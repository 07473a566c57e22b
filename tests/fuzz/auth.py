"""What proves who asks, and what says what they may: signatures, tokens, certificates, policies."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding
from joserfc import jws

from s3server.auth import oidc
from s3server.auth.authenticate import AuthSettings, authenticate
from s3server.auth.bucket_policy import is_public, parse_bucket_policy
from s3server.auth.challenges import Challenges
from s3server.auth.credentials import Credential
from s3server.auth.form import authenticate_form
from s3server.auth.policy_parse import PolicyError, parse_policy
from s3server.auth.post_policy import read_post_policy
from s3server.auth.proxy_chain import ChainError, Trust, read_chain, verify_chain
from s3server.auth.session_tokens import Session, TokenBox
from s3server.auth.wildcard import NO_KEYS, Pattern, read_template
from s3server.core.key_scope import scope_policies
from s3server.errors import S3Error
from s3server.model import ROOTLESS, HttpRequest, Principal
from s3server.wire.request import find_target
from tests.support.forms import signed_fields
from tests.support.fuzzing import Target
from tests.support.grid_ca import Authority, proxy
from tests.support.oidc_issuer import AUDIENCE, Issuer, new_key
from tests.support.signing import Key, presign, presign_v2, sign, sign_v2

NOW = datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC)
KEY = Key("AKIAALICE", "secret-of-alice")
ALICE = Credential(KEY.id, KEY.secret, Principal("user", "a" * 64, "alice", access_key_id=KEY.id))
SETTINGS = AuthSettings("us-east-1", frozenset({"*"}), ("https://s3.site.org",), ("s3.test",))
URL = "http://s3.test/data/a%20key?prefix=a%2Fb&acl"
SENT = {"host": "s3.test", "x-amz-meta-a": "b  c", "content-md5": "1B2M2Y8AsgTpgAmY7PhCfg=="}
_S3 = (S3Error,)


def at_once(coroutine: Any) -> Any:
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it waits")


async def lookup(access_key_id: str, _token: str | None) -> Credential | None:
    return ALICE if access_key_id == KEY.id else None


def message(target: str, headers: dict[str, str]) -> bytes:
    lines = [target, *(f"{name}: {value}" for name, value in headers.items())]
    return "\n".join(lines).encode("latin-1")


def read_message(data: bytes) -> None:
    line, *fields = data.decode("latin-1").split("\n")
    pairs = (field.partition(": ") for field in fields)
    headers = {name.lower(): value for name, _, value in pairs}
    headers.setdefault("host", "s3.test")
    path, _, query = line.encode("ascii", "replace").decode().partition("?")
    request = HttpRequest("GET", path, query, headers)
    at_once(
        authenticate(
            request, find_target(request, ("s3.test",)), lookup=lookup, settings=SETTINGS,
            now=NOW.timestamp(), trusted_peer=True, body_sha256=None,
        )
    )  # fmt: skip


def signed_messages() -> tuple[bytes, ...]:
    header = sign("GET", URL, SENT, key=KEY, at=NOW, payload="UNSIGNED-PAYLOAD")
    query = presign("GET", URL, {"host": "s3.test"}, key=KEY, at=NOW)
    old_header = sign_v2("GET", URL, SENT, key=KEY, at=NOW)
    old_query = presign_v2("GET", URL, key=KEY, at=NOW)
    found = (header, query, old_header, old_query)
    return tuple(message(one.target, {"host": "s3.test", **one.headers}) for one in found)


class _Signer:
    key = KEY

    def now(self) -> datetime:
        return NOW


CONDITIONS = [["starts-with", "$key", "user/"], {"acl": "private"}, {"bucket": "data"},
              ["content-length-range", 1, 10_000], ["eq", "$x-amz-meta-a", "b"]]  # fmt: skip
FIELDS = {"key": "user/a", "acl": "private", "x-amz-meta-a": "b"}
FORMS = tuple(signed_fields(_Signer(), CONDITIONS, FIELDS, version=v) for v in (4, 2))  # type: ignore[arg-type]


def read_form_proof(data: bytes) -> None:
    pairs = (line.partition("=") for line in data.decode("utf-8", "replace").split("\n"))
    fields = {name.lower(): value for name, _, value in pairs}
    now = NOW.timestamp()
    at_once(authenticate_form(fields, lookup=lookup, settings=SETTINGS, now=now))


def read_upload_policy(data: bytes) -> None:
    policy = read_post_policy(base64.b64encode(data).decode())
    policy.check(FORMS[0], bucket="data", now=NOW.timestamp())


STATEMENTS: list[dict[str, Any]] = [
    {"Sid": "a", "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject",
     "Resource": "arn:aws:s3:::data/*"},
    {"Effect": "Deny", "NotPrincipal": {"AWS": ["arn:aws:iam::123456789012:user/alice"]},
     "NotAction": ["s3:Get*"], "NotResource": ["arn:aws:s3:::data"],
     "Condition": {"StringLike": {"s3:prefix": ["${aws:username}/*", ""]},
                   "ForAllValues:StringEquals": {"aws:TagKeys": ["a"]}}},
    {"Effect": "Allow", "Principal": {"AWS": "123456789012"}, "Action": ["s3:*"],
     "Resource": ["arn:aws:s3:::data", "arn:aws:s3:::data/${aws:userid, 'none'}/*"],
     "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"},
                   "DateLessThanIfExists": {"aws:CurrentTime": "2030-01-01T00:00:00Z"},
                   "NumericLessThan": {"s3:max-keys": 10}, "Bool": {"aws:SecureTransport": True},
                   "Null": {"s3:x-amz-acl": "true"}, "BinaryEquals": {"a:b": "QUJD"}}},
]  # fmt: skip
POLICIES = (
    json.dumps({"Version": "2012-10-17", "Id": "x", "Statement": STATEMENTS}).encode(),
    json.dumps({"Statement": STATEMENTS[0]}, indent=1).encode(),
)


def without(*fields: str) -> tuple[bytes, ...]:
    """Return the policies without some fields of their statements."""
    gone = {name + field for field in fields for name in ("", "Not")}
    kept = [{n: v for n, v in one.items() if n not in gone} for one in STATEMENTS]
    return tuple(
        json.dumps({"Version": "2012-10-17", "Statement": some}).encode()
        for some in (kept, kept[1])
    )


def read_policy(data: bytes) -> None:
    is_public(parse_bucket_policy(data.decode("utf-8", "replace"), "data"))


def read_identity_policy(data: bytes) -> None:
    parse_policy(data.decode("utf-8", "replace"), has_principals=False)


def read_trust_policy(data: bytes) -> None:
    parse_policy(data.decode("utf-8", "replace"), has_principals=True, has_resources=False)


def read_wildcard(data: bytes) -> None:
    pattern, _, text = data.decode("utf-8", "replace").partition("\n")
    Pattern(read_template(pattern, variables=True)).matches(text, NO_KEYS)


BOX = TokenBox(b"k" * 32)
SESSION = Session(
    access_key_id="ASIAEXAMPLE", secret="s", issued_ms=1, expires_ms=2, lineage=ROOTLESS,
    policies=(POLICIES[0].decode(),), tags=(("a", "b"),),
)  # fmt: skip


def read_session_token(data: bytes) -> None:
    BOX.open(data.decode("latin-1"), "ASIAEXAMPLE")


ISSUER = Issuer(keys=[new_key("one", "EC")])
KEYS = oidc.read_keys(ISSUER.key_set())
PROVIDER = oidc.Provider(ISSUER.url, (AUDIENCE,), "", ("*",))


def read_token(data: bytes) -> None:
    token = data.decode("latin-1")
    claim = oidc.read_claim(token)
    key = oidc.find_key(KEYS, claim)
    if key is not None:
        oidc.verify(token, key, PROVIDER, NOW.timestamp())


def read_unproven(data: bytes) -> None:
    """Read a token of which the signature alone is surely wrong."""
    coded = (base64.urlsafe_b64encode(one).rstrip(b"=") for one in data.split(b"\n", 1))
    oidc.find_key(KEYS, oidc.read_claim(b".".join((*coded, b"A" * 86)).decode()))


def read_signed_claims(data: bytes) -> None:
    """Read what its issuer has rightly signed, whatever it is."""
    token = jws.serialize_compact({"alg": "ES256", "kid": "one"}, data, ISSUER.keys[0])
    read_token(token.encode())


def read_key_set(data: bytes) -> None:
    oidc.read_keys(json.loads(data))


KEY_SET = json.dumps(ISSUER.key_set()).encode()
CLAIMS = json.dumps(ISSUER.claims(NOW.timestamp(), aud=["a", AUDIENCE])).encode()
TOKEN = ISSUER.token(NOW.timestamp()).encode()
HEADER = b'{"alg":"ES256","kid":"one","typ":"at+jwt"}\n'

CA = Authority(at=NOW)
TRUST = Trust((CA.certificate,), {}, needs_crls=False, needs_policies=False, allows_limited=True)
USER = CA.user()
LEAVES = tuple(one.certificate.public_bytes(Encoding.DER) for one in (USER, proxy(USER)))


def read_certificates(data: bytes) -> None:
    """Read a chain whose leaf is damaged."""
    leaf = f"-----BEGIN CERTIFICATE-----\n{base64.encodebytes(data).decode()}"
    leaf += "-----END CERTIFICATE-----\n"
    verify_chain(read_chain(leaf + USER.chain_pem), TRUST, NOW)


def read_chain_text(data: bytes) -> None:
    read_chain(data.decode("ascii", "replace"))


CHALLENGES = Challenges(b"k" * 32)


def read_challenge(data: bytes) -> None:
    CHALLENGES.check(data.decode("utf-8", "replace"), 0)


def read_scope(data: bytes) -> None:
    for policy in scope_policies(data.decode("utf-8", "replace")):
        parse_policy(policy, has_principals=False)


_POLICY = (PolicyError,)
UPLOAD = base64.b64decode(FORMS[0]["policy"])

TARGETS = (
    Target("signatures", signed_messages(), read_message, _S3, 16_000),
    Target(
        "proofs of forms",
        tuple("\n".join(f"{n}={v}" for n, v in one.items()).encode() for one in FORMS),
        read_form_proof, _S3, 6_000,
    ),
    Target("policies of uploads", (UPLOAD,), read_upload_policy, _S3, 8_000),
    Target("bucket policies", POLICIES, read_policy, _POLICY, 4_000),
    Target("identity policies", without("Principal"), read_identity_policy, _POLICY, 6_000),
    Target("trust policies", without("Resource"), read_trust_policy, _POLICY, 6_000),
    Target("wildcards", (b"arn:aws:s3:::data/${aws:username, 'x'}/*?a\narn:aws:s3:::data/b/xa",
                         b"*a*b*c*\nabcabcabc"), read_wildcard, (ValueError,), 10_000),
    Target("session tokens", (BOX.seal(SESSION).encode(),), read_session_token, _S3, 6_000),
    Target("web tokens", (TOKEN,), read_token, _S3, 4_000),
    Target("unproven tokens", (HEADER + CLAIMS,), read_unproven, _S3, 4_000),
    Target("signed claims", (CLAIMS,), read_signed_claims, _S3, 1_000),
    Target("key sets", (KEY_SET,), read_key_set, (ValueError,), 2_000),
    Target("certificates", LEAVES, read_certificates, (ChainError,), 2_000, binary=True),
    Target("chains", (USER.chain_pem.encode(),), read_chain_text, (ChainError,), 2_000),
    Target("challenges", (CHALLENGES.make(0).encode(),), read_challenge, _S3, 4_000),
    Target("scopes of keys", (b"read-only s3://data/a s3://data", without("Principal")[1]),
           read_scope, (*_S3, *_POLICY), 6_000),
)  # fmt: skip
