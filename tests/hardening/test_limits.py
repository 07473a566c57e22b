"""Rates of projects and of failed authentications, as clients meet them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from s3server.auth.ca_directory import AuthorityDirectory
from s3server.auth.certificates import Certificates, Rule
from s3server.auth.challenges import Challenges
from s3server.auth.oidc import Provider
from tests.support.asgi_client import HOST
from tests.support.certificates import answered
from tests.support.forms import encode_form, post, signed_fields
from tests.support.grid_ca import DAY, Authority, Holder, proxy
from tests.support.oidc_issuer import AUDIENCE, new_key, run_issuer
from tests.support.served import FAILURES_PER_MINUTE, ManualClock, Store, credential
from tests.support.signing import Key
from tests.support.sts import ALICE, make_role, sts, trust

SLOW = (503, "SlowDown")


async def limit(store: Store, **rates: Any) -> None:
    account = credential("alice").principal.account
    await store.services.projects.update(account, lambda now: replace(now, **rates))


async def test_requests_beyond_the_rate_are_told_to_slow_down(store: Store) -> None:
    await store.alice("PUT", "/data", headers={"x-amz-acl": "public-read"})
    await limit(store, requests_per_s=3.0)
    answers = [await store.alice("GET", "/data") for _ in range(4)]
    assert [200, 200, 200, 503] == [answer.status for answer in answers]
    assert (answers[3].outcome, answers[3].header("retry-after")) == (SLOW, "1")
    assert (await store.bob("GET", "/")).status == 200
    assert (await store.nobody("GET", "/data")).outcome == SLOW
    store.clock.ms += 1_000
    assert (await store.alice("GET", "/data")).status == 200


async def test_bytes_of_uploads_and_downloads_are_counted_against_the_rate(store: Store) -> None:
    await store.alice("PUT", "/data")
    await limit(store, bytes_per_s=10_000_000.0)
    assert (await store.alice("PUT", "/data/key", body=bytes(100_000))).status == 200
    await limit(store, bytes_per_s=5_000.0)
    assert (await store.alice("HEAD", "/data/key")).status == 200
    for size in (1_000, 54_000):
        store.limits.pause_s(await _alices(store), size)
    assert (await store.alice("HEAD", "/data/key")).status == 503


async def _alices(store: Store) -> Any:
    return await store.services.projects.find(credential("alice").principal.account)


async def test_no_way_to_guess_goes_uncounted(store: Store) -> None:
    await store.alice("PUT", "/data")
    known = credential("alice")
    guesser = store.alice.changed(key=Key(known.access_key_id, "a guess", store.region))
    fields = signed_fields(guesser, [["starts-with", "$key", ""]], {"key": "key"})
    form = encode_form(fields)
    for _ in range(FAILURES_PER_MINUTE - 1):
        store.limits.fail(guesser.peer)
    assert (await post(guesser, "/data", form)).outcome == (403, "SignatureDoesNotMatch")
    store.limits.fail(guesser.peer)
    assert (await post(guesser, "/data", form)).outcome == SLOW
    spelt = "Signatur%65=x&AWSAccessKeyI%64=AKIAALICE&Expires=99999999999"
    assert (await store.nobody("GET", f"/data?{spelt}")).outcome == SLOW
    assert (await post(guesser, "/data", encode_form({"key": "key"}))).status == 403


async def test_address_that_guesses_is_no_longer_heard(store: Store) -> None:
    await store.alice("PUT", "/data")
    known = credential("alice")
    guesser = store.alice.changed(key=Key(known.access_key_id, "a guess", store.region))
    for _ in range(FAILURES_PER_MINUTE - 1):
        store.limits.fail(guesser.peer)
    assert (await guesser("GET", "/data")).outcome == (403, "SignatureDoesNotMatch")
    store.limits.fail(guesser.peer)
    assert (await guesser("GET", "/data")).outcome == SLOW
    assert (await store.alice("GET", "/data")).outcome == SLOW
    assert (await store.nobody("GET", "/data")).outcome == (403, "AccessDenied")
    assert (await store.alice.changed(peer="192.0.2.8")("GET", "/data")).status == 200
    store.clock.ms += 60_000
    assert (await store.alice("GET", "/data")).status == 200


def guess_all_but(store: Store, left: int) -> None:
    """Let the address of all clients fail until so many more failures are borne."""
    for _ in range(FAILURES_PER_MINUTE - left):
        store.limits.fail(store.nobody.peer)


async def test_forged_tokens_are_counted_and_expired_ones_are_not() -> None:
    with run_issuer() as issuer:
        issuer.keys = [new_key("one")]
        store = Store(providers=(Provider(issuer.url, (AUDIENCE,)),))
        name = issuer.url.partition("://")[2]
        federated = {"Federated": f"arn:aws:iam::{ALICE}:oidc-provider/{name}"}
        arn = await make_role(store, "web", trust(federated, "sts:AssumeRoleWithWebIdentity"))
        now_s = store.clock.ms / 1000
        forged = issuer.token(now_s, key=new_key("one"))
        expired = issuer.token(now_s - 7_200)

        async def outcome(token: str) -> tuple[int, str | None]:
            asked = {"RoleArn": arn, "RoleSessionName": "job", "WebIdentityToken": token}
            answer = await sts(store.nobody, "AssumeRoleWithWebIdentity", asked)
            return answer.status, answer.text("Error/Code")

        guess_all_but(store, 2)
        assert await outcome(forged) == (400, "InvalidIdentityToken")
        for _ in range(3):
            assert await outcome(expired) == (400, "ExpiredTokenException")
        assert await outcome(forged) == (400, "InvalidIdentityToken")
        store.limits.fail(store.nobody.peer)
        assert await outcome(issuer.token(now_s)) == SLOW
        store.clock.ms += 60_000
        assert await outcome(issuer.token(now_s)) == (200, None)


CA = Authority(at=ManualClock().now())
USER = CA.user()


async def outcome_of(store: Store, holder: Holder, **fields: str) -> tuple[int, str | None]:
    form = {**await answered(store, holder), **fields}
    answer = await sts(store.nobody, "AssumeRoleWithCertificate", form)
    return answer.status, answer.text("Error/Code")


@pytest.mark.parametrize(
    ("holder", "fields"),
    [
        (Authority("Other CA", at=CA.at).user(), {}),
        (proxy(USER, subject=USER.certificate.subject), {}),
        (USER, {"Challenge": Challenges(b"o" * 32).make(ManualClock().ms)}),
        (USER, {"Signature": "AAAA"}),
    ],
    ids=["authority", "chain", "challenge", "signature"],
)
async def test_forged_certificates_are_counted_and_expired_ones_are_not(
    tmp_path: Path, holder: Holder, fields: dict[str, str]
) -> None:
    directory = AuthorityDirectory(
        CA.write(tmp_path / "ca"), needs_crls=True, needs_policies=True, allows_limited=False
    )
    rules = [Rule("*", f"arn:aws:iam::{ALICE}:role/grid")]
    store = Store(certificates=Certificates(directory, rules, Challenges(b"k" * 32), names=[HOST]))
    await make_role(store, "grid", trust({"Federated": "x509"}, "sts:AssumeRoleWithCertificate"))
    guess_all_but(store, 2)
    assert await outcome_of(store, holder, **fields) == (403, "AccessDenied")
    late = proxy(USER, at=CA.at - DAY)
    for _ in range(3):
        assert await outcome_of(store, late) == (403, "AccessDenied")
    assert await outcome_of(store, holder, **fields) == (403, "AccessDenied")
    store.limits.fail(store.nobody.peer)
    assert await outcome_of(store, USER) == SLOW
    store.clock.ms += 60_000
    assert await outcome_of(store, USER) == (200, None)
