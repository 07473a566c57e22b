"""Multipart uploads: create, complete, abort, list."""

from __future__ import annotations

import base64
import hashlib
import json
import random
from urllib.parse import quote

import pytest

from s3server.core import multipart
from s3server.wire.checksums import ALGORITHMS
from tests.support.served import Store, credential
from tests.support.uploads import MIB, begin, complete, parts_document, send_part

FIRST, LAST = random.Random(3).randbytes(5 * MIB), b"the end"
ETAG = hashlib.md5(hashlib.md5(FIRST).digest() + hashlib.md5(LAST).digest()).hexdigest() + "-2"
PATH = "/data/key"


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of one byte are large enough."""
    monkeypatch.setattr(multipart, "MIN_PART_BYTES", 1)


async def test_object_is_its_parts_in_order(data: Store) -> None:
    headers = {"content-type": "text/csv", "x-amz-meta-a": "1"}
    upload = await begin(data.alice, PATH, headers)
    last = await send_part(data.alice, PATH, upload, 7, LAST)
    first = await send_part(data.alice, PATH, upload, 2, FIRST)
    answer = await complete(data.alice, PATH, upload, [first, last])
    assert answer.status == 200
    assert answer.document.tag == "CompleteMultipartUploadResult"
    assert answer.text("Location") == "http://s3.test/data/key"
    assert (answer.text("Bucket"), answer.text("Key")) == ("data", "key")
    assert answer.text("ETag") == f'"{ETAG}"'
    got = await data.alice("GET", PATH)
    assert got.body == FIRST + LAST
    assert got.header("etag") == f'"{ETAG}"'
    assert (got.header("content-type"), got.header("x-amz-meta-a")) == ("text/csv", "1")


async def test_parts_can_be_read_alone(data: Store) -> None:
    upload = await begin(data.alice, PATH)
    parts = [await send_part(data.alice, PATH, upload, n, b) for n, b in ((1, FIRST), (2, LAST))]
    await complete(data.alice, PATH, upload, parts)
    got = await data.alice("GET", f"{PATH}?partNumber=2")
    assert (got.status, got.body) == (206, LAST)
    assert got.header("x-amz-mp-parts-count") == "2"
    size = len(FIRST) + len(LAST)
    assert got.header("content-range") == f"bytes {len(FIRST)}-{size - 1}/{size}"
    beyond = await data.alice("GET", f"{PATH}?partNumber=3")
    assert beyond.outcome == (416, "InvalidPartNumber")
    across = await data.alice("GET", PATH, headers={"range": f"bytes={len(FIRST) - 2}-"})
    assert across.body == FIRST[-2:] + LAST


async def test_answer_of_create_names_the_upload(data: Store) -> None:
    answer = await data.alice("POST", f"{PATH}?uploads")
    assert answer.document.tag == "InitiateMultipartUploadResult"
    assert (answer.text("Bucket"), answer.text("Key")) == ("data", "key")
    assert (await data.alice("GET", PATH)).outcome == (404, "NoSuchKey")


async def test_part_sent_again_replaces_the_first(data: Store, small_parts: None) -> None:
    upload = await begin(data.alice, PATH)
    old = await send_part(data.alice, PATH, upload, 1, b"old")
    new = await send_part(data.alice, PATH, upload, 1, b"new")
    assert (await complete(data.alice, PATH, upload, [old])).outcome == (400, "InvalidPart")
    assert (await complete(data.alice, PATH, upload, [new])).status == 200
    assert (await data.alice("GET", PATH)).body == b"new"


async def test_parts_left_out_are_given_up(data: Store, small_parts: None) -> None:
    upload = await begin(data.alice, PATH)
    parts = [await send_part(data.alice, PATH, upload, n, b"%d" % n) for n in range(1, 6)]
    assert (await complete(data.alice, PATH, upload, parts[1::2])).status == 200
    assert (await data.alice("GET", PATH)).body == b"24"
    assert [key for key, _ in await data.rows() if key[:1] in (b"U", b"P")] == []
    assert len([key for key, _ in await data.rows() if key[:1] == b"G"]) == 1


@pytest.mark.parametrize(
    ("choose", "outcome"),
    [
        (lambda a, b: [b, a], (400, "InvalidPartOrder")),
        (lambda a, b: [a, a], (400, "InvalidPartOrder")),
        (lambda a, b: [a, (3, b[1])], (400, "InvalidPart")),
        (lambda a, b: [a, (2, '"0123"')], (400, "InvalidPart")),
        (lambda a, b: [a, (2, a[1])], (400, "InvalidPart")),
        (lambda a, b: [a, (2, "")], (400, "InvalidPart")),
        (lambda a, b: [], (400, "MalformedXML")),
        (lambda a, b: [(0, a[1])], (400, "InvalidArgument")),
        (lambda a, b: [(10_001, a[1])], (400, "InvalidArgument")),
    ],
)
async def test_wrong_choice_of_parts_completes_nothing(
    data: Store, small_parts: None, choose, outcome: tuple[int, str]
) -> None:
    upload = await begin(data.alice, PATH)
    parts = [await send_part(data.alice, PATH, upload, n, b"%d" % n) for n in (1, 2)]
    before = await data.rows()
    assert (await complete(data.alice, PATH, upload, choose(*parts))).outcome == outcome
    assert await data.rows() == before
    assert (await complete(data.alice, PATH, upload, parts)).status == 200


async def test_small_part_may_only_be_the_last(data: Store) -> None:
    upload = await begin(data.alice, PATH)
    parts = [await send_part(data.alice, PATH, upload, n, b"small") for n in (1, 2)]
    answer = await complete(data.alice, PATH, upload, parts)
    assert answer.outcome == (400, "EntityTooSmall")
    told = {name: answer.text(name) for name in ("ProposedSize", "MinSizeAllowed", "PartNumber")}
    assert told == {"ProposedSize": "5", "MinSizeAllowed": "5242880", "PartNumber": "1"}
    assert (await complete(data.alice, PATH, upload, parts[1:])).status == 200


async def test_part_one_byte_below_the_limit_is_too_small(data: Store) -> None:
    upload = await begin(data.alice, PATH)
    first = await send_part(data.alice, PATH, upload, 1, FIRST[:-1])
    last = await send_part(data.alice, PATH, upload, 2, LAST)
    answer = await complete(data.alice, PATH, upload, [first, last])
    assert answer.outcome == (400, "EntityTooSmall")


async def test_list_of_parts_has_ten_thousand_at_most(data: Store) -> None:
    upload = await begin(data.alice, PATH)
    part = await send_part(data.alice, PATH, upload, 1, b"1")
    many = [part, *((number, part[1]) for number in range(2, 10_001))]
    assert (await complete(data.alice, PATH, upload, many)).outcome == (400, "InvalidPart")
    many.append((10_001, part[1]))
    assert (await complete(data.alice, PATH, upload, many)).outcome == (400, "MalformedXML")


async def test_ten_thousand_tiny_parts_are_too_small(data: Store) -> None:
    upload = await begin(data.alice, PATH)
    parts = [await send_part(data.alice, PATH, upload, n, b"x") for n in range(1, 10_001)]
    assert (await complete(data.alice, PATH, upload, parts)).outcome == (400, "EntityTooSmall")


async def test_upload_of_many_parts_is_read_whole(data: Store, small_parts: None) -> None:
    upload = await begin(data.alice, PATH)
    numbers = [*range(1, 400), 10_000]
    bodies = [b"%d," % number for number in numbers]
    parts = [
        await send_part(data.alice, PATH, upload, number, body)
        for number, body in zip(numbers, bodies, strict=True)
    ]
    answer = await complete(data.alice, PATH, upload, parts)
    assert answer.text("ETag") is not None
    whole = b"".join(bodies)
    assert (await data.alice("GET", PATH)).body == whole
    ranged = await data.alice("GET", PATH, headers={"range": "bytes=100-999,1200-1300"})
    assert whole[100:1000] in ranged.body
    last = await data.alice("GET", f"{PATH}?partNumber=400")
    assert last.body == b"10000,"


async def test_completing_again_tells_the_same(data: Store, small_parts: None) -> None:
    upload = await begin(data.alice, PATH)
    parts = [await send_part(data.alice, PATH, upload, 1, b"1")]
    first = await complete(data.alice, PATH, upload, parts)
    with data.untouched():
        again = await complete(data.alice, PATH, upload, parts)
    assert again.status == 200
    assert again.text("ETag") == first.text("ETag")


async def test_completing_again_with_other_parts_is_not_told_that_it_succeeded(
    data: Store, small_parts: None
) -> None:
    """As of two who complete one upload at once: only one of them made the object."""
    upload = await begin(data.alice, PATH)
    first, second = [
        await send_part(data.alice, PATH, upload, number, b"%d" % number) for number in (1, 2)
    ]
    await complete(data.alice, PATH, upload, [first, second])
    for others in ([first], [second], [first, (2, '"é"')], [second, first]):
        answer = await complete(data.alice, PATH, upload, others)
        assert answer.outcome == (404, "NoSuchUpload")
    assert (await data.alice("GET", PATH)).body == b"12"


async def test_completing_after_the_object_was_replaced_finds_no_upload(
    data: Store, small_parts: None
) -> None:
    upload = await begin(data.alice, PATH)
    parts = [await send_part(data.alice, PATH, upload, 1, b"1")]
    await complete(data.alice, PATH, upload, parts)
    await data.alice.made(PATH, body=b"other")
    answer = await complete(data.alice, PATH, upload, parts)
    assert answer.outcome == (404, "NoSuchUpload")
    assert (await data.alice("GET", PATH)).body == b"other"


async def test_conditions_decide_at_complete(data: Store, small_parts: None) -> None:
    await data.alice.made(PATH, body=b"there")
    upload = await begin(data.alice, PATH)
    parts = [await send_part(data.alice, PATH, upload, 1, b"1")]
    only_new = {"if-none-match": "*"}
    answer = await complete(data.alice, PATH, upload, parts, only_new)
    assert answer.outcome == (412, "PreconditionFailed")
    assert (await data.alice("GET", PATH)).body == b"there"
    etag = (await data.alice("HEAD", PATH)).header("etag") or ""
    answer = await complete(data.alice, PATH, upload, parts, {"if-match": etag})
    assert answer.status == 200
    assert (await data.alice("GET", PATH)).body == b"1"


@pytest.mark.parametrize("upload", ["x", "00" * 16, "0" * 31, "..%2F..", "%F0%9F%98%80", "AB" * 16])
async def test_unknown_upload_is_unknown_everywhere(data: Store, upload: str) -> None:
    for method, target, body in (
        ("PUT", f"{PATH}?partNumber=1&uploadId={upload}", b"x"),
        ("POST", f"{PATH}?uploadId={upload}", parts_document([(1, '"0"')])),
        ("GET", f"{PATH}?uploadId={upload}", b""),
        ("DELETE", f"{PATH}?uploadId={upload}", b""),
    ):
        with data.untouched():
            answer = await data.alice(method, target, body=body)
        assert (method, *answer.outcome) == (method, 404, "NoSuchUpload")


async def test_upload_belongs_to_its_key_and_bucket(data: Store) -> None:
    await data.alice.made("/other")
    upload = await begin(data.alice, PATH)
    for path in ("/data/key2", "/other/key"):
        target = f"{path}?partNumber=1&uploadId={upload}"
        answer = await data.alice("PUT", target, body=b"x")
        assert answer.outcome == (404, "NoSuchUpload")


async def test_aborted_upload_is_gone_with_its_parts(data: Store) -> None:
    upload = await begin(data.alice, PATH)
    part = await send_part(data.alice, PATH, upload, 1, b"x")
    answer = await data.alice("DELETE", f"{PATH}?uploadId={upload}")
    assert (answer.status, answer.body) == (204, b"")
    assert (await complete(data.alice, PATH, upload, [part])).outcome == (404, "NoSuchUpload")
    tables = {key[:1] for key, _ in await data.rows()}
    assert tables == {b"B", b"A", b"D", b"G", b"n", b"N"}


async def test_size_of_the_whole_is_held_against_the_promise(
    data: Store, small_parts: None
) -> None:
    upload = await begin(data.alice, PATH)
    parts = [await send_part(data.alice, PATH, upload, 1, b"123")]
    wrong = await complete(data.alice, PATH, upload, parts, {"x-amz-mp-object-size": "4"})
    assert wrong.outcome == (400, "InvalidRequest")
    right = await complete(data.alice, PATH, upload, parts, {"x-amz-mp-object-size": "3"})
    assert right.status == 200


def sha256(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


async def test_composite_checksum_is_that_of_the_checksums(data: Store, small_parts: None) -> None:
    upload = await begin(data.alice, PATH, {"x-amz-checksum-algorithm": "SHA256"})
    parts = [
        await send_part(data.alice, PATH, upload, n, b, {"x-amz-checksum-sha256": sha256(b)})
        for n, b in ((1, b"one"), (2, b"two"))
    ]
    joined = b"".join(hashlib.sha256(b).digest() for b in (b"one", b"two"))
    expected = f"{sha256(joined)}-2"
    unsaid = await complete(data.alice, PATH, upload, [parts[0], parts[1][:2]])
    assert unsaid.outcome == (400, "InvalidRequest")
    assert "missing for part 2" in (unsaid.text("Message") or "")
    wrong = {"x-amz-checksum-sha256": sha256(b"wrong")}
    assert (await complete(data.alice, PATH, upload, parts, wrong)).outcome == (400, "BadDigest")
    answer = await complete(data.alice, PATH, upload, parts)
    assert answer.text("ChecksumSHA256") == expected
    assert answer.text("ChecksumType") == "COMPOSITE"


@pytest.mark.parametrize("algorithm", ["CRC64NVME", "CRC32", "CRC32C"])
async def test_full_object_checksum_is_that_of_all_bytes(
    data: Store, small_parts: None, algorithm: str
) -> None:
    headers = {"x-amz-checksum-algorithm": algorithm, "x-amz-checksum-type": "FULL_OBJECT"}
    upload = await begin(data.alice, PATH, headers)
    header = f"x-amz-checksum-{algorithm.lower()}"
    parts = []
    for number, body in ((1, b"one"), (2, b"two")):
        probe = await data.alice.made("/data/probe", body=body, headers=checksum(algorithm, body))
        sums = {header: probe.header(header) or ""}
        parts.append(await send_part(data.alice, PATH, upload, number, body, sums))
    whole = await data.alice.made(
        "/data/probe", body=b"onetwo", headers=checksum(algorithm, b"onetwo")
    )
    answer = await complete(data.alice, PATH, upload, parts)
    assert answer.text(f"Checksum{algorithm}") == whole.header(header)
    assert answer.text("ChecksumType") == "FULL_OBJECT"


def checksum(algorithm: str, body: bytes) -> dict[str, str]:
    running = ALGORITHMS[algorithm].new()
    running.update(body)
    value = base64.b64encode(running.digest()).decode()
    return {f"x-amz-checksum-{algorithm.lower()}": value}


@pytest.mark.parametrize(
    ("kind", "stated"),
    [("COMPOSITE", "FULL_OBJECT"), ("FULL_OBJECT", "COMPOSITE"), ("", "COMPOSITE")],
)
async def test_upload_is_completed_with_the_checksum_type_it_was_begun_with(
    data: Store, small_parts: None, kind: str, stated: str
) -> None:
    begun = {"x-amz-checksum-algorithm": "CRC32", "x-amz-checksum-type": kind} if kind else {}
    upload = await begin(data.alice, PATH, begun)
    part = await send_part(data.alice, PATH, upload, 1, b"one", checksum("CRC32", b"one"))
    answer = await complete(data.alice, PATH, upload, [part], {"x-amz-checksum-type": stated})
    assert answer.outcome == (400, "InvalidRequest")
    same = {"x-amz-checksum-type": kind or "FULL_OBJECT"}
    assert (await complete(data.alice, PATH, upload, [part], same)).status == 200


@pytest.mark.parametrize(
    ("algorithm", "sent"), [("SHA256", "CRC32"), ("CRC32", "CRC32C"), ("SHA1", "")]
)
async def test_part_without_the_checksum_of_its_upload_is_refused(
    data: Store, algorithm: str, sent: str
) -> None:
    upload = await begin(data.alice, PATH, {"x-amz-checksum-algorithm": algorithm})
    headers = checksum(sent, b"one") if sent else {}
    target = f"{PATH}?partNumber=1&uploadId={upload}"
    with data.untouched():
        answer = await data.alice("PUT", target, body=b"one", headers=headers)
    assert answer.outcome == (400, "InvalidRequest")
    assert (sent.lower() or "null") in (answer.text("Message") or "")


async def test_part_that_says_nothing_has_the_checksum_that_is_the_default(data: Store) -> None:
    upload = await begin(data.alice, PATH, {"x-amz-checksum-algorithm": "CRC64NVME"})
    part = await send_part(data.alice, PATH, upload, 1, b"one")
    assert (await complete(data.alice, PATH, upload, [part])).text("ChecksumCRC64NVME")


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [
        ("SHA256", "FULL_OBJECT"),
        ("CRC64NVME", "COMPOSITE"),
        ("", "COMPOSITE"),
        ("CRC32", "SOME"),
    ],
)
async def test_checksum_types_that_cannot_be_are_refused(
    data: Store, algorithm: str, kind: str
) -> None:
    headers = {"x-amz-checksum-type": kind}
    if algorithm:
        headers["x-amz-checksum-algorithm"] = algorithm
    answer = await data.alice("POST", f"{PATH}?uploads", headers=headers)
    assert answer.outcome == (400, "InvalidRequest")


@pytest.fixture
async def uploads(data: Store) -> dict[str, list[str]]:
    """Uploads by key, in the order of their ids."""
    found: dict[str, list[str]] = {}
    for key in ("a", "b/1", "b/2", "b/2", "c", "d//x", "a"):
        data.clock.ms += 1
        found.setdefault(key, []).append(await begin(data.alice, f"/data/{key}"))
    return found


async def test_uploads_are_listed_by_key_and_time(
    data: Store, uploads: dict[str, list[str]]
) -> None:
    answer = await data.alice("GET", "/data?uploads")
    assert answer.document.tag == "ListMultipartUploadsResult"
    expected = [(key, upload) for key in sorted(uploads) for upload in uploads[key]]
    found = zip(answer.texts("Upload/Key"), answer.texts("Upload/UploadId"), strict=True)
    assert list(found) == expected
    owner = credential("alice").principal.id
    assert set(answer.texts("Upload/Owner/ID") + answer.texts("Upload/Initiator/ID")) == {owner}
    assert answer.text("MaxUploads") == "1000"
    assert answer.text("IsTruncated") == "false"


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("query", ["", "&delimiter=/", "&prefix=b", "&prefix=b/&delimiter=/"])
async def test_pages_of_uploads_add_up(
    data: Store, uploads: dict[str, list[str]], size: int, query: str
) -> None:
    whole = await data.alice("GET", f"/data?uploads{query}")
    ids, prefixes, markers = [], [], ""
    for _ in range(12):
        page = await data.alice("GET", f"/data?uploads{query}&max-uploads={size}{markers}")
        assert page.status == 200
        ids += page.texts("Upload/UploadId")
        prefixes += page.texts("CommonPrefixes/Prefix")
        if page.text("IsTruncated") == "false":
            break
        markers = f"&key-marker={quote(page.text('NextKeyMarker') or '', safe='')}"
        markers += f"&upload-id-marker={page.text('NextUploadIdMarker') or ''}"
    assert (ids, prefixes) == (
        whole.texts("Upload/UploadId"),
        whole.texts("CommonPrefixes/Prefix"),
    )


async def test_delimiter_folds_uploads(data: Store, uploads: dict[str, list[str]]) -> None:
    answer = await data.alice("GET", "/data?uploads&delimiter=/")
    assert answer.texts("Upload/Key") == ["a", "a", "c"]
    assert answer.texts("CommonPrefixes/Prefix") == ["b/", "d/"]


async def test_key_marker_alone_skips_all_uploads_of_the_key(
    data: Store, uploads: dict[str, list[str]]
) -> None:
    answer = await data.alice("GET", "/data?uploads&key-marker=b/2")
    assert answer.texts("Upload/Key") == ["c", "d//x"]


async def test_upload_marker_that_is_none_is_refused(data: Store) -> None:
    answer = await data.alice("GET", "/data?uploads&key-marker=a&upload-id-marker=x")
    assert answer.outcome == (400, "InvalidArgument")
    alone = await data.alice("GET", "/data?uploads&upload-id-marker=x")
    assert alone.status == 200


@pytest.mark.parametrize("who", [None, "bob"])
async def test_stranger_does_nothing_with_uploads(data: Store, who: str | None) -> None:
    upload = await begin(data.alice, PATH)
    client = data.client(who)
    for method, target in (
        ("POST", f"{PATH}?uploads"),
        ("PUT", f"{PATH}?partNumber=1&uploadId={upload}"),
        ("POST", f"{PATH}?uploadId={upload}"),
        ("GET", f"{PATH}?uploadId={upload}"),
        ("DELETE", f"{PATH}?uploadId={upload}"),
        ("GET", "/data?uploads"),
    ):
        with data.untouched():
            answer = await client(method, target)
        assert (method, *answer.outcome) == (method, 403, "AccessDenied")


async def test_encoding_type_covers_keys_of_uploads(data: Store) -> None:
    await begin(data.alice, "/data/a%20b%0A")
    answer = await data.alice("GET", "/data?uploads&encoding-type=url")
    assert answer.texts("Upload/Key") == ["a%20b%0A"]


def going_on(upload: str) -> dict[str, tuple[str, str, dict[str, str]]]:
    """Return every request that goes on with an upload."""
    copy = {"x-amz-copy-source": "data/there"}
    return {
        "UploadPart": ("PUT", f"/data/key?partNumber=2&uploadId={upload}", {}),
        "UploadPartCopy": ("PUT", f"/data/key?partNumber=2&uploadId={upload}", copy),
        "ListParts": ("GET", f"/data/key?uploadId={upload}", {}),
        "CompleteMultipartUpload": ("POST", f"/data/key?uploadId={upload}", {}),
        "AbortMultipartUpload": ("DELETE", f"/data/key?uploadId={upload}", {}),
    }


@pytest.mark.parametrize("who", ["alice", None])
async def test_public_bucket_lets_nobody_at_the_uploads_of_others(
    data: Store, who: str | None
) -> None:
    """Its ACL lets everybody write; only who began an upload, or owns the bucket, goes on."""
    await data.alice.made("/data/there", body=b"x", headers={"x-amz-acl": "public-read"})
    await data.alice.configure("/data?acl", b"", headers={"x-amz-acl": "public-read-write"})
    upload = await begin(data.client(who), "/data/key")
    part = await send_part(data.client(who), "/data/key", upload, 1, b"part")
    document = parts_document([part])
    for name, (method, target, headers) in going_on(upload).items():
        body = document if name.startswith("Complete") else b"x" * (name == "UploadPart")
        with data.untouched():
            answer = await data.bob(method, target, body=body, headers=headers)
        assert answer.outcome == (403, "AccessDenied"), name
    for name, (method, target, headers) in going_on(upload).items():
        body = document if name.startswith("Complete") else b"x" * (name == "UploadPart")
        mine = await data.client(who)(method, target, body=body, headers=headers)
        assert mine.status in (200, 204, 404), (name, mine.body)


async def test_bucket_owner_and_whom_a_policy_permits_go_on_with_uploads_of_others(
    data: Store,
) -> None:
    await data.alice.configure("/data?acl", b"", headers={"x-amz-acl": "public-read-write"})
    upload = await begin(data.bob, "/data/key")
    part = f"/data/key?partNumber=1&uploadId={upload}"
    assert (await data.alice("PUT", part, body=b"x")).status == 200
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:PutObject",
                 "Resource": "arn:aws:s3:::data/*"}  # fmt: skip
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]}).encode()
    assert (await data.nobody("PUT", part, body=b"x")).outcome == (403, "AccessDenied")
    await data.alice.sent("/data?policy", policy)
    assert (await data.nobody("PUT", part, body=b"x")).status == 200
    listed = await data.nobody("GET", f"/data/key?uploadId={upload}")
    assert listed.outcome == (403, "AccessDenied")
