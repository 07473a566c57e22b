"""Keys of issuers: fetched over a real socket, kept, and asked for again rarely."""

import asyncio
import json
import socket
import ssl

import pytest

from s3server.auth import oidc_keys
from s3server.auth.oidc import Provider, read_claim
from s3server.auth.oidc_keys import FRESH_MS, RETRY_MS, STALE_MS, ProviderKeys, is_fetchable
from s3server.sts_errors import IDPCommunicationError, InvalidIdentityToken
from tests.support.grid_ca import Authority
from tests.support.oidc_issuer import AUDIENCE, Issuer, new_key, run_issuer
from tests.support.served import ManualClock

NOW = 1_790_000_000.0
KEYS = [new_key("one"), new_key("two")]


class Site:
    """An issuer that runs, and what a server knows of it."""

    def __init__(self, issuer: Issuer) -> None:
        self.issuer, self.clock = issuer, ManualClock()
        issuer.keys = KEYS[:1]
        self.provider = Provider(issuer.url, (AUDIENCE,))
        self.known = ProviderKeys([self.provider], now_ms=self.clock.now_ms)
        self.discovery = "/realms/grid/.well-known/openid-configuration"

    async def find(self, key=KEYS[0]):
        claim = read_claim(self.issuer.token(NOW, key=key))
        return await self.known.find(self.known.provider(claim), claim)


@pytest.fixture
def site():
    with run_issuer() as issuer:
        yield Site(issuer)


async def test_keys_are_fetched_once(site):
    found = await asyncio.gather(*(site.find() for _ in range(5)))
    assert {key.kid for key in found} == {"one"}
    assert site.issuer.asked == [site.discovery, "/realms/grid/jwks"]


async def test_issuer_on_https_is_known_by_the_authority_of_the_settings(tmp_path):
    ours, other = Authority("Site CA"), Authority("Other CA")
    ours_file, other_file = (
        str(next(one.write(tmp_path / name).glob("*.0")))
        for one, name in ((ours, "ours"), (other, "other"))
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ours.server().write(tmp_path / "server.pem"))
    with run_issuer(context) as issuer:
        site = Site(issuer)
        for ca_file, is_known in ((ours_file, True), (other_file, False), ("", False)):
            provider = Provider(issuer.url, (AUDIENCE,), ca_file=ca_file)
            site.known = ProviderKeys([provider], now_ms=site.clock.now_ms)
            if is_known:
                assert (await site.find()).kid == "one"
            else:
                with pytest.raises(IDPCommunicationError):
                    await site.find()


async def test_clock_that_is_set_back_keeps_no_new_key_waiting(site):
    await site.find()
    site.clock.ms -= 3_600_000
    site.issuer.keys = KEYS
    assert (await site.find(KEYS[1])).kid == "two"


async def test_unknown_key_asks_again_but_not_often(site):
    await site.find()
    for _ in range(3):
        with pytest.raises(InvalidIdentityToken):
            await site.find(KEYS[1])
    assert len(site.issuer.asked) == 2
    site.issuer.keys = KEYS
    site.clock.ms += RETRY_MS
    assert (await site.find(KEYS[1])).kid == "two"
    assert len(site.issuer.asked) == 4


async def test_key_that_the_issuer_withdraws_ends(site):
    site.issuer.keys = KEYS
    await site.find(KEYS[1])
    site.issuer.keys = KEYS[:1]
    site.clock.ms += FRESH_MS
    with pytest.raises(InvalidIdentityToken):
        await site.find(KEYS[1])


async def test_known_keys_outlast_an_issuer_that_is_down_but_not_for_ever(site):
    await site.find()
    site.issuer.answers["/realms/grid/jwks"] = (503, b"")
    site.clock.ms += FRESH_MS
    assert (await site.find()).kid == "one"
    site.clock.ms += STALE_MS - FRESH_MS
    with pytest.raises(IDPCommunicationError):
        await site.find()


WRONG = {
    "redirect": (302, b"http://127.0.0.1:1/elsewhere"),
    "error": (500, b"{}"),
    "no JSON": (200, b"<html>"),
    "other issuer": (200, b'{"issuer": "https://evil.org", "jwks_uri": "http://127.0.0.1/"}'),
    "too long": (200, b" " * (oidc_keys.MAX_BYTES + 1)),
    "nested": (200, b"[" * 100_000),
}


@pytest.mark.parametrize("name", WRONG)
async def test_wrong_document_is_no_key(site, name):
    site.issuer.answers[site.discovery] = WRONG[name]
    with pytest.raises(IDPCommunicationError):
        await site.find()
    assert site.issuer.asked == [site.discovery]


@pytest.mark.parametrize(
    "place", ["http://10.0.0.1/jwks", "file:///etc/passwd", "http://127.0.0.1.evil.org/", "x", ""]
)
async def test_keys_elsewhere_are_not_fetched(site, place):
    document = {"issuer": site.issuer.url, "jwks_uri": place}
    site.issuer.answers[site.discovery] = (200, json.dumps(document).encode())
    with pytest.raises(IDPCommunicationError):
        await site.find()


async def test_issuer_that_does_not_answer_costs_a_bounded_time(site, monkeypatch):
    monkeypatch.setattr(oidc_keys, "TOTAL_S", 0.2)

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(oidc_keys.FetchError, match="did not answer"):
            await oidc_keys.fetch_document(url, "")


async def test_token_of_an_issuer_that_nobody_configured_asks_nobody(site):
    claim = read_claim(Issuer(keys=KEYS).token(NOW))
    with pytest.raises(InvalidIdentityToken):
        site.known.provider(claim)
    assert site.issuer.asked == []


@pytest.mark.parametrize(
    ("url", "plain", "expected"),
    [
        ("https://idp.org/x", False, True),
        ("http://idp.org/x", True, False),
        ("http://127.0.0.1:80/x", True, True),
        ("http://127.0.0.1:80/x", False, False),
        ("http://localhost/x", True, False),  # a name leads where a resolver says
        ("https://u:p@idp.org/", False, False),
        ("https://idp.org:99999/", False, False),
        ("https://idp.org/\r\nX: y", False, False),
        ("https:///x", False, False),
    ],
)
def test_what_may_be_fetched(url, plain, expected):
    assert is_fetchable(url, may_be_plain=plain) is expected
