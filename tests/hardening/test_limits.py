"""Rates of projects and of failed authentications, as clients meet them."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from tests.support.forms import encode_form, post, signed_fields
from tests.support.served import FAILURES_PER_MINUTE, Store, credential
from tests.support.signing import Key

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
