"""GetBucketAccelerateConfiguration, PutBucketAccelerateConfiguration."""

from __future__ import annotations

import pytest

from tests.support.served import Store


def accelerated(status: str) -> bytes:
    return f"<AccelerateConfiguration>{status}</AccelerateConfiguration>".encode()


async def test_nothing_is_accelerated(data: Store) -> None:
    document = accelerated("<Status>Suspended</Status>")
    assert (await data.alice.configure("/data?accelerate", document)).status == 200
    answer = await data.alice("GET", "/data?accelerate")
    assert answer.document.tag == "AccelerateConfiguration"
    assert answer.text("Status") == "Suspended"
    assert (await data.bob("GET", "/data?accelerate")).outcome == (403, "AccessDenied")


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("<Status>Enabled</Status>", (501, "NotImplemented")),
        ("<Status>Fast</Status>", (400, "MalformedXML")),
        ("", (400, "MalformedXML")),
    ],
)
async def test_what_cannot_be_is_refused(
    data: Store, status: str, outcome: tuple[int, str]
) -> None:
    with data.untouched():
        answer = await data.alice.configure("/data?accelerate", accelerated(status))
    assert answer.outcome == outcome
