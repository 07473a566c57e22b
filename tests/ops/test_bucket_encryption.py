"""The default encryption of buckets: it holds of uploads that do not say."""

from __future__ import annotations

import base64
import hashlib

from tests.support.asgi_client import Answer
from tests.support.forms import encode_form, post, signed_fields
from tests.support.served import Store
from tests.support.uploads import begin, complete, send_part

RULE = """<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault>
<SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule>
</ServerSideEncryptionConfiguration>"""
HEADER = "x-amz-server-side-encryption"


async def configure(store: Store, text: str = RULE) -> Answer:
    body = text.encode()
    md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
    return await store.alice("PUT", "/data?encryption", body=body, headers={"content-md5": md5})


async def test_default_is_told_and_holds_from_then_on(data: Store) -> None:
    await data.alice.made("/data/before", body=b"x")
    missing = await data.alice("GET", "/data?encryption")
    assert missing.outcome == (404, "ServerSideEncryptionConfigurationNotFoundError")
    assert (await configure(data)).status == 200
    got = await data.alice("GET", "/data?encryption")
    path = "Rule/ApplyServerSideEncryptionByDefault/SSEAlgorithm"
    assert (got.document.tag, got.text(path)) == ("ServerSideEncryptionConfiguration", "AES256")
    await data.alice.made("/data/after", body=b"content")
    before = await data.alice("HEAD", "/data/before")
    after = await data.alice("GET", "/data/after")
    assert (before.header(HEADER), after.header(HEADER)) == (None, "AES256")
    assert after.body == b"content"


async def test_default_can_be_removed(data: Store) -> None:
    await configure(data)
    assert (await data.alice("DELETE", "/data?encryption")).status == 204
    await data.alice.made("/data/key", body=b"x")
    assert (await data.alice("HEAD", "/data/key")).header(HEADER) is None


async def test_keys_of_a_service_are_not_done(data: Store) -> None:
    answer = await configure(data, RULE.replace("AES256", "aws:kms"))
    assert answer.outcome == (501, "NotImplemented")
    assert (await configure(data, RULE.replace("<Rule>", "<Rule/><Rule>"))).status == 400
    assert (await data.alice("GET", "/data?encryption")).status == 404


async def test_default_holds_of_parts_copies_and_forms(data: Store) -> None:
    await data.alice.made("/data/plain", body=b"content")
    await configure(data)
    upload = await begin(data.alice, "/data/parts")
    part = await send_part(data.alice, "/data/parts", upload, 1, b"content")
    assert (await complete(data.alice, "/data/parts", upload, [part])).status == 200
    await data.alice.made("/data/copy", headers={"x-amz-copy-source": "/data/plain"})
    fields = signed_fields(data.alice, [{"bucket": "data"}, {"key": "form"}], {"key": "form"})
    assert (await post(data.nobody, "/data", encode_form(fields, b"content"))).status == 204
    for key in ("parts", "copy", "form"):
        got = await data.alice("GET", f"/data/{key}")
        assert (got.header(HEADER), got.body) == ("AES256", b"content")
    plain = await data.alice("GET", "/data/plain")
    assert (plain.header(HEADER), plain.body) == (None, b"content")
