"""Tokens of identity providers: one good one, and every way to be a bad one."""

import base64

import pytest

from s3server.auth.oidc import Provider, find_key, read_claim, read_keys, verify
from s3server.errors import S3Error
from s3server.sts_errors import ExpiredTokenException, IDPRejectedClaim, InvalidIdentityToken
from tests.support.oidc_issuer import AUDIENCE, Issuer, encoded, new_key

NOW = 1_790_000_000.0
ISSUER = Issuer(keys=[new_key("one"), new_key("two", "EC")])
OTHER = Issuer(url="https://other.site.org", keys=[new_key("one")])
PROVIDER = Provider(ISSUER.url, (AUDIENCE, "other-audience"))
NAME = "idp.site.org/realms/grid"


def check(token, *, provider=PROVIDER, issuer=ISSUER, now=NOW):
    claim = read_claim(token)
    key = find_key(read_keys(issuer.key_set()), claim)
    if key is None:
        raise InvalidIdentityToken("no such key")
    return verify(token, key, provider, now)


@pytest.mark.parametrize("key", ISSUER.keys, ids=["RSA", "EC"])
def test_good_token_tells_who_it_is_and_what_conditions_may_ask(key):
    found = check(ISSUER.token(NOW, key=key))
    assert (found.subject, found.audience) == ("alice", AUDIENCE)
    assert found.expires_ms == (int(NOW) + 3600) * 1000
    assert found.keys[f"{NAME}:sub"] == ("alice",)
    assert found.keys[f"{NAME}:aud"] == (AUDIENCE,)
    assert found.keys[f"{NAME}:groups"] == ("/cms", "/cms/prod")
    assert found.keys[f"{NAME}:scope"] == ("storage.read:/", "openid")


def test_audience_may_be_one_of_several():
    found = check(ISSUER.token(NOW, aud=["elsewhere", "other-audience"]))
    assert found.audience == "other-audience"


def test_one_key_needs_no_id():
    single = Issuer(keys=ISSUER.keys[:1])
    assert check(single.token(NOW, header={"kid": None}), issuer=single).subject == "alice"
    with pytest.raises(InvalidIdentityToken):
        check(ISSUER.token(NOW, header={"kid": None}))


BROKEN = {
    "alg none": (ISSUER.token(NOW, header={"alg": "none"}), InvalidIdentityToken),
    "HS256 with the public key": (
        ISSUER.token_with_public_key_as_secret(NOW), InvalidIdentityToken,
    ),
    "wrong audience": (ISSUER.token(NOW, aud="https://elsewhere.org"), IDPRejectedClaim),
    "audience in part": (ISSUER.token(NOW, aud=AUDIENCE + "/"), IDPRejectedClaim),
    "no audience": (ISSUER.token(NOW, aud=None), IDPRejectedClaim),
    "audience is no text": (ISSUER.token(NOW, aud=[1, None, {}]), IDPRejectedClaim),
    "wrong issuer": (ISSUER.token(NOW, iss="https://evil.org"), InvalidIdentityToken),
    "issuer with a slash": (ISSUER.token(NOW, iss=ISSUER.url + "/"), InvalidIdentityToken),
    "no issuer": (ISSUER.token(NOW, iss=None), InvalidIdentityToken),
    "expired": (ISSUER.token(NOW, exp=int(NOW)), ExpiredTokenException),
    "never expires": (ISSUER.token(NOW, exp=None), InvalidIdentityToken),
    "expires at infinity": (ISSUER.token(NOW, exp=1e300), InvalidIdentityToken),
    "expiry is a text": (ISSUER.token(NOW, exp="1790003600"), InvalidIdentityToken),
    "expiry is true": (ISSUER.token(NOW, exp=True), InvalidIdentityToken),
    "not yet valid": (ISSUER.token(NOW, nbf=int(NOW) + 61), InvalidIdentityToken),
    "issued in the future": (ISSUER.token(NOW, iat=int(NOW) + 61), InvalidIdentityToken),
    "not issued": (ISSUER.token(NOW, iat=None), InvalidIdentityToken),
    "no subject": (ISSUER.token(NOW, sub=None), InvalidIdentityToken),
    "empty subject": (ISSUER.token(NOW, sub=""), InvalidIdentityToken),
    "long subject": (ISSUER.token(NOW, sub="x" * 256), InvalidIdentityToken),
    "subject with a line break": (ISSUER.token(NOW, sub="a\nb"), InvalidIdentityToken),
    "unknown key": (ISSUER.token(NOW, header={"kid": "three"}), InvalidIdentityToken),
    "key id of another type": (ISSUER.token(NOW, header={"kid": "two"}), InvalidIdentityToken),
    "key of another issuer": (
        OTHER.token(NOW, iss=ISSUER.url), InvalidIdentityToken,
    ),
    "key in the header": (
        OTHER.token(NOW, iss=ISSUER.url, header={"jwk": OTHER.keys[0].as_dict(private=False)}),
        InvalidIdentityToken,
    ),
    "unknown critical header": (
        ISSUER.token_with_header(NOW, {"alg": "RS256", "kid": "one", "crit": ["x"], "x": 1}),
        InvalidIdentityToken,
    ),
    "unencoded payload": (
        ISSUER.token_with_header(NOW, {"alg": "RS256", "crit": ["b64"], "b64": False}),
        InvalidIdentityToken,
    ),
    "oversized": (ISSUER.token(NOW, junk="x" * 20_000), InvalidIdentityToken),
    "oversized header": (
        ISSUER.token_with_header(NOW, {"alg": "RS256", "kid": "one", "x": "x" * 4_000}),
        InvalidIdentityToken,
    ),
    "claims are a list": (
        encoded({"alg": "RS256", "kid": "one"}) + "." + encoded([]) + ".AAAA", InvalidIdentityToken,
    ),
    "nested without end": (
        encoded({"alg": "RS256"}) + "." + base64.urlsafe_b64encode(b"[" * 9_000).decode() + ".AAAA",
        InvalidIdentityToken,
    ),
    "encrypted": ("a.b.c.d.e", InvalidIdentityToken),
    "empty": ("", InvalidIdentityToken),
    "beyond ASCII": ("é.é.é", InvalidIdentityToken),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_broken_token_is_refused(name):
    token, error = BROKEN[name]
    with pytest.raises(error) as raised:
        check(token)
    assert not token or token not in raised.value.message


def test_every_changed_character_of_a_token_is_noticed():
    token = ISSUER.token(NOW, key=ISSUER.keys[1])
    for at in range(0, len(token) - 1, 7):
        other = "A" if token[at] != "A" else "B"
        with pytest.raises(S3Error):
            check(token[:at] + other + token[at + 1 :])


def test_clock_of_an_issuer_may_be_ahead_a_little():
    assert check(ISSUER.token(NOW, iat=int(NOW) + 59, nbf=int(NOW) + 59)).subject == "alice"


@pytest.mark.parametrize(
    "key",
    [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "one"},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "one"},
        {**ISSUER.keys[0].as_dict(private=False), "use": "enc"},
        {**ISSUER.keys[0].as_dict(private=False), "alg": "HS256"},
        {"kty": "RSA", "n": 1, "e": [], "kid": "one"},
        {"kty": "PQ", "kid": "one"},
    ],
)
def test_keys_that_prove_nothing_are_left_out(key):
    assert list(read_keys({"keys": [key]})) == []


@pytest.mark.parametrize("document", [None, [], {}, {"keys": 1}, {"keys": [1]}, {"keys": None}])
def test_what_is_no_set_of_keys_is_refused(document):
    with pytest.raises(ValueError, match="not a set of keys"):
        read_keys(document)


def test_key_that_is_for_one_algorithm_does_not_prove_another():
    only = {**ISSUER.keys[0].as_dict(private=False), "alg": "PS256"}
    assert find_key(read_keys({"keys": [only]}), read_claim(ISSUER.token(NOW))) is None
