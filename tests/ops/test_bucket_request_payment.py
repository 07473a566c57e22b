"""GetBucketRequestPayment, PutBucketRequestPayment."""

from __future__ import annotations

import pytest

from tests.support.served import Store


def payer(who: str) -> bytes:
    text = f"<RequestPaymentConfiguration><Payer>{who}</Payer></RequestPaymentConfiguration>"
    return text.encode()


async def test_owner_pays(data: Store) -> None:
    answer = await data.alice("GET", "/data?requestPayment")
    assert answer.document.tag == "RequestPaymentConfiguration"
    assert answer.texts("Payer") == ["BucketOwner"]
    put = await data.alice.configure("/data?requestPayment", payer("BucketOwner"))
    assert put.status == 200
    assert (await data.bob("GET", "/data?requestPayment")).outcome == (403, "AccessDenied")


@pytest.mark.parametrize(
    ("who", "outcome"),
    [("Requester", (501, "NotImplemented")), ("Nobody", (400, "MalformedXML"))],
)
async def test_nobody_else_does(data: Store, who: str, outcome: tuple[int, str]) -> None:
    answer = await data.alice.configure("/data?requestPayment", payer(who))
    assert answer.outcome == outcome
    assert (await data.alice("GET", "/data?requestPayment")).texts("Payer") == ["BucketOwner"]
