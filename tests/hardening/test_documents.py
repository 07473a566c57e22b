"""Bodies that are documents: too large, malformed, or with more in them than XML should have.

Source: hardening reference, rows 58, 64, 65 (CVE-2018-1000538, CVE-2022-47950, CVE-2026-41066).
"""

from __future__ import annotations

import base64
import hashlib

import pytest

from s3server.operation import load_handlers
from tests.support.asgi_client import Answer
from tests.support.served import Store
from tests.support.signing import Key, presign
from tests.support.uploads import begin, send_part

ALICE = Key("AKIAALICE", "secret-of-alice")
DOCTYPE = b'<!DOCTYPE d [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
LAUGHS = (
    b'<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa">'
    + b"".join(b'<!ENTITY %c "%s">' % (n + 1, b"&%c;" % n * 10) for n in range(97, 106))
    + b"]>"
)
KEY = b"<Object><Key>key</Key></Object>"
BAD_XML = {
    "doctype": DOCTYPE + b"<Delete><Object><Key>&e;</Key></Object></Delete>",
    "doctype, small letters": b"<!doctype d><Delete>" + KEY + b"</Delete>",
    "billion laughs": LAUGHS + b"<Delete><Object><Key>&j;</Key></Object></Delete>",
    "entity of its own": b"<Delete><Object><Key>&mine;</Key></Object></Delete>",
    "parameter entity": b'<!DOCTYPE d [<!ENTITY % p SYSTEM "http://x/">%p;]><Delete/>',
    "not closed": b"<Delete><Object><Key>key</Key></Object>",
    "crossed": b"<Delete><Object><Key>key</Object></Key></Delete>",
    "two roots": b"<Delete>" + KEY + b"</Delete><Delete/>",
    "no document": b"key",
    "json": b'{"Delete": {}}',
    "blanks": b"   ",
    "other root": b"<Remove>" + KEY + b"</Remove>",
    "utf-16": ("<Delete>" + KEY.decode() + "</Delete>").encode("utf-16"),
    "utf-16 declared": b'<?xml version="1.0" encoding="UTF-16"?><Delete>' + KEY + b"</Delete>\x00",
    "utf-7": b'<?xml version="1.0" encoding="UTF-7"?>+ADw-Delete+AD4-',
    "latin-1 bytes": b"<Delete><Object><Key>\xe9</Key></Object></Delete>",
    "nul": b"<Delete><Object><Key>a\x00b</Key></Object></Delete>",
    "control character": b"<Delete><Object><Key>&#1;</Key></Object></Delete>",
    "deep": b"<Delete>" + b"<a>" * 20_000 + b"</a>" * 20_000 + b"</Delete>",
    "number of attributes": b"<Delete " + b"a='1' " * 2 + b">" + KEY + b"</Delete>",
    "no keys": b"<Delete></Delete>",
    "key without name": b"<Delete><Object></Object></Delete>",
    "two names": b"<Delete><Object><Key>a</Key><Key>b</Key></Object></Delete>",
    "name with elements": b"<Delete><Object><Key><b>a</b></Key></Object></Delete>",
    "quiet that is none": b"<Delete><Quiet>maybe</Quiet>" + KEY + b"</Delete>",
}


async def delete(store: Store, body: bytes) -> Answer:
    digest = base64.b64encode(hashlib.md5(body).digest()).decode()
    return await store.alice("POST", "/data?delete", body=body, headers={"content-md5": digest})


@pytest.mark.parametrize("what", sorted(BAD_XML))
async def test_malformed_document_deletes_nothing(data: Store, what: str) -> None:
    await data.alice.made("/data/key", body=b"x")
    with data.untouched():
        answer = await delete(data, BAD_XML[what])
    assert answer.outcome == (400, "MalformedXML")
    assert b"root:" not in answer.body


@pytest.mark.parametrize("what", sorted(set(BAD_XML) - {"two names"}))
async def test_malformed_document_completes_nothing(data: Store, what: str) -> None:
    upload = await begin(data.alice, "/data/key")
    await send_part(data.alice, "/data/key", upload, 1, b"x")
    body = BAD_XML[what].replace(b"Delete", b"CompleteMultipartUpload")
    with data.untouched():
        answer = await data.alice("POST", f"/data/key?uploadId={upload}", body=body)
    assert answer.outcome == (400, "MalformedXML")


@pytest.mark.parametrize("what", ["doctype", "not closed", "other root", "utf-16", "json"])
async def test_malformed_document_creates_nothing(store: Store, what: str) -> None:
    body = BAD_XML[what].replace(b"Delete", b"CreateBucketConfiguration")
    with store.untouched():
        answer = await store.alice("PUT", "/data", body=body)
    assert answer.outcome == (400, "MalformedXML")


GOOD_XML = {
    "namespace": b'<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">' + KEY + b"</Delete>",
    "no namespace": b"<Delete>" + KEY + b"</Delete>",
    "prefix": b'<s:Delete xmlns:s="urn:x"><s:Object><s:Key>key</s:Key></s:Object></s:Delete>',
    "declaration": b'<?xml version="1.0" encoding="UTF-8"?>\n<Delete>' + KEY + b"</Delete>",
    "bom": b"\xef\xbb\xbf<Delete>" + KEY + b"</Delete>",
    "comment": b"<Delete><!-- <Object/> -->" + KEY + b"</Delete>",
    "cdata": b"<Delete><Object><Key><![CDATA[key]]></Key></Object></Delete>",
    "character reference": b"<Delete><Object><Key>&#107;ey</Key></Object></Delete>",
    "blanks": b"<Delete>\n  " + KEY + b"\n</Delete>\n",
}


@pytest.mark.parametrize("what", sorted(GOOD_XML))
async def test_document_in_any_dress_is_read(data: Store, what: str) -> None:
    await data.alice.made("/data/key", body=b"x")
    answer = await delete(data, GOOD_XML[what])
    assert answer.texts("Deleted/Key") == ["key"]
    assert (await data.alice("HEAD", "/data/key")).status == 404


LIMITED = {
    "DeleteObjects": ("POST", "/data?delete", 8 << 20),
    "CompleteMultipartUpload": ("POST", "/data/key?uploadId=UPLOAD", 8 << 20),
    "CreateBucket": ("PUT", "/other", 1 << 20),
}


@pytest.mark.parametrize("name", sorted(LIMITED))
async def test_document_above_the_limit_is_never_received(data: Store, name: str) -> None:
    """CVE-2018-1000538: a huge body on a small API. Its length alone refuses it."""
    method, target, limit = LIMITED[name]
    headers = {
        "content-length": str(limit + 1),
        "content-md5": base64.b64encode(bytes(16)).decode(),
    }
    with data.untouched():
        answer = await data.alice(method, target, headers=headers, payload="UNSIGNED-PAYLOAD")
    assert answer.outcome == (400, "MaxMessageLengthExceeded")
    assert answer.text("MaxMessageLengthBytes") == str(limit)


async def test_form_of_other_services_is_limited(data: Store) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded", "content-length": "99999999"}
    with data.untouched():
        answer = await data.alice("POST", "/", headers=headers)
    assert answer.status == 400
    assert answer.text("Error/Code") == "MaxMessageLengthExceeded" or answer.code == (
        "MaxMessageLengthExceeded"
    )


@pytest.mark.parametrize("how", ["none", "bad"])
@pytest.mark.parametrize("action", ["ListUsers", "CreateTopic", "GetCallerIdentity", "Nonsense"])
async def test_form_without_signature_is_refused(data: Store, action: str, how: str) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded", "host": "s3.test"}
    if how == "bad":
        headers["authorization"] = "AWS AKIAALICE:c2lnbmF0dXJl"
    body = f"Action={action}".encode()
    headers["content-length"] = str(len(body))
    with data.untouched():
        answer = await data.nobody.send("POST", "/", headers, body)
    assert answer.status in (400, 403)


@pytest.mark.parametrize("action", ["GetSessionToken", "AssumeRole", "CreateAccessKey"])
async def test_signature_is_never_exchanged_for_credentials(data: Store, action: str) -> None:
    """OSSA-2025-002: what signed a read of an object opens no other service."""
    signed = presign("GET", "http://s3.test/data/key", {}, key=ALICE, at=data.clock.now())
    body = f"Action={action}&UserName=alice".encode()
    headers = {"content-type": "application/x-www-form-urlencoded", "host": "s3.test"}
    headers["content-length"] = str(len(body))
    query = signed.target.partition("?")[2]
    with data.untouched():
        in_url = await data.nobody.send("POST", f"/?{query}", headers, body)
        in_form = body + b"&" + query.encode()
        headers["content-length"] = str(len(in_form))
        in_body = await data.nobody.send("POST", "/", headers, in_form)
    assert in_url.status == 403
    assert in_body.status in (400, 403)
    assert b"SecretAccessKey" not in in_url.body + in_body.body


def test_nothing_imports_identities() -> None:
    """CVE-2024-55949: there is no operation that brings policies or parents of keys along."""
    assert not {name for name in load_handlers() if "Import" in name}


@pytest.mark.parametrize("action", ["UploadServerCertificate", "Subscribe", "AssumeRoot"])
async def test_services_without_handlers_say_so_to_root_and_nothing_to_others(
    data: Store, action: str
) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    body = f"Action={action}".encode()
    with data.untouched():
        root = await data.root("POST", "/", headers=headers, body=body)
        alice = await data.alice("POST", "/", headers=headers, body=body)
    assert (root.status, root.text("Error/Code")) == (501, "NotImplemented")
    assert alice.status == 403
    assert alice.text("Error/Code") in {"AccessDenied", "AuthorizationError"}
