"""PutBucketLogging and GetBucketLogging, the lines that requests leave, and their delivery."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shlex
from pathlib import Path

import pytest

from s3server.core.log_spool import Spool
from s3server.jobs.access_logs import AccessLogJob
from tests.ops.test_bucket_notification import EXPIRE, VERSIONED, expire
from tests.support.asgi_client import Answer, Client
from tests.support.served import Store, credential

OWNER = credential("alice").principal.id
ENFORCED = (
    b"<OwnershipControls><Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule>"
    b"</OwnershipControls>"
)
READER = (
    "<TargetGrants><Grant><Grantee xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance' "
    "xsi:type='Group'><URI>http://acs.amazonaws.com/groups/global/AuthenticatedUsers</URI>"
    "</Grantee><Permission>READ</Permission></Grant></TargetGrants>"
)
INTERVAL_S = 300


async def log_to(
    client: Client, target: str = "logs", more: str = "", bucket: str = "data"
) -> Answer:
    text = (
        f"<BucketLoggingStatus><LoggingEnabled><TargetBucket>{target}</TargetBucket>{more}"
        "<TargetPrefix>from/</TargetPrefix></LoggingEnabled></BucketLoggingStatus>"
    )
    return await client.configure(f"/{bucket}?logging", text.encode())


def partitioned(source: str) -> str:
    return (
        "<TargetObjectKeyFormat><PartitionedPrefix><PartitionDateSource>"
        f"{source}</PartitionDateSource></PartitionedPrefix></TargetObjectKeyFormat>"
    )


@pytest.fixture
async def logged(data: Store) -> Store:
    """Alice's bucket "data", whose log goes to "logs"."""
    await data.alice.made("/logs")
    assert (await log_to(data.alice)).status == 200
    data.lines.clear()
    return data


def fields(line: str) -> list[str]:
    assert line.endswith("\n")
    found = shlex.split(line.replace("[", '"').replace("]", '"'))
    assert len(found) == 26
    return found


def job(store: Store, directory: Path) -> tuple[Spool, AccessLogJob]:
    spool = Spool(directory, clock=store.clock, interval_s=INTERVAL_S, writer="me")
    return spool, AccessLogJob(spool, store.services.buckets, store.courier)


async def keys(store: Store) -> list[str]:
    return (await store.alice("GET", "/logs")).texts("Contents/Key")


async def test_log_is_told_as_it_was_set_and_ends_when_nothing_is(logged: Store) -> None:
    got = await logged.alice("GET", "/data?logging")
    assert got.text("LoggingEnabled/TargetBucket") == "logs"
    assert got.text("LoggingEnabled/TargetPrefix") == "from/"
    off = await logged.alice.configure("/data?logging", b"<BucketLoggingStatus/>")
    assert off.status == 200
    assert (await logged.alice("GET", "/data?logging")).text("LoggingEnabled") is None
    logged.lines.clear()
    await logged.alice("GET", "/data")
    assert logged.lines == []


async def test_nothing_is_written_for_buckets_without_a_log(data: Store) -> None:
    await data.alice.made("/data/a", body=b"x")
    assert data.lines == []


def statement(effect: str, principal: object, condition: object = None) -> bytes:
    one = {
        "Effect": effect, "Principal": principal, "Action": "s3:PutObject",
        "Resource": "arn:aws:s3:::logs/from/*", **({"Condition": condition} if condition else {}),
    }  # fmt: skip
    return json.dumps({"Version": "2012-10-17", "Statement": [one]}).encode()


async def test_target_must_be_there_and_of_the_same_account(data: Store) -> None:
    await data.bob.made("/logs")
    await data.bob.configure("/logs?policy", statement("Allow", {"Service": "logging.s3.amazonaws.com"}))  # fmt: skip # noqa: E501
    for target in ("none", "logs", "x"):
        answer = await log_to(data.alice, target)
        assert answer.outcome == (400, "InvalidTargetBucketForLogging"), target


@pytest.mark.parametrize(
    ("policy", "status"),
    [
        (statement("Allow", {"Service": "logging.s3.amazonaws.com"}), 200),
        (
            statement(
                "Allow",
                {"Service": "logging.s3.amazonaws.com"},
                {
                    "ArnLike": {"aws:SourceArn": "arn:aws:s3:::data"},
                    "StringEquals": {"aws:SourceAccount": "alice-project"},
                },
            ),
            200,
        ),
        (statement("Deny", "*"), 400),
        (statement("Deny", {"Service": "logging.s3.amazonaws.com"}), 400),
    ],
)
async def test_targets_policy_decides(data: Store, policy: bytes, status: int) -> None:
    await data.alice.made("/logs")
    assert (await data.alice.configure("/logs?policy", policy)).status in (200, 204)
    assert (await log_to(data.alice)).status == status


async def test_grants_to_others_need_a_target_with_acls(data: Store) -> None:
    await data.alice.made("/logs")
    assert (await log_to(data.alice, more=READER)).status == 200
    assert (await data.alice("GET", "/data?logging")).texts(".//Grant/Permission") == ["READ"]
    await data.alice.configure("/logs?ownershipControls", ENFORCED)
    answer = await log_to(data.alice, more=READER)
    assert answer.outcome == (400, "AccessControlListNotSupported")


async def test_prefix_leaves_room_for_names(data: Store) -> None:
    await data.alice.made("/logs")
    for size, status in ((900, 200), (1_020, 400)):
        text = (
            "<BucketLoggingStatus><LoggingEnabled><TargetBucket>logs</TargetBucket>"
            f"<TargetPrefix>{'x' * size}</TargetPrefix></LoggingEnabled></BucketLoggingStatus>"
        )
        assert (await data.alice.configure("/data?logging", text.encode())).status == status


async def test_every_request_leaves_a_line(logged: Store) -> None:
    await logged.alice.made("/data/a%20b", body=b"12345", headers={"user-agent": "me/1"})
    await logged.alice("GET", "/data/a%20b", headers={"range": "bytes=1-2"})
    await logged.alice("HEAD", "/data/a%20b")
    await logged.alice("GET", "/data?list-type=2")
    await logged.alice("GET", "/data?versioning")
    await logged.alice("DELETE", "/data/a%20b")
    put, got, *others = [fields(line) for line in logged.lines]
    assert put[:2] == [OWNER, "data"]
    assert re.fullmatch(r"\d\d/[A-Z][a-z]{2}/2026:\d\d:\d\d:\d\d \+0000", put[2])
    assert put[3:5] == ["192.0.2.7", "arn:aws:iam::alice-project:user/alice"]
    assert put[6:13] == [
        "REST.PUT.OBJECT", "a%20b", "PUT /data/a%20b HTTP/1.1", "200", "-", "-", "5",
    ]  # fmt: skip
    assert put[16] == "me/1"
    assert put[18:22] == ["the-store", "SigV4", "-", "AuthHeader"]
    assert put[22:] == ["s3.test", "-", "-", "-"]
    assert got[9:13] == ["206", "-", "2", "5"]
    assert [each[6] for each in others] == [
        "REST.HEAD.OBJECT", "REST.GET.BUCKET", "REST.GET.VERSIONING", "REST.DELETE.OBJECT",
    ]  # fmt: skip


async def test_deletion_of_many_keys_leaves_a_line_for_each(logged: Store) -> None:
    await logged.alice.made("/data/a%20b", body=b"x")
    long = "x" * 1_025
    keys = "".join(f"<Object><Key>{key}</Key></Object>" for key in ("a b", long))
    text = f"<Delete><Quiet>true</Quiet>{keys}</Delete>".encode()
    digest = base64.b64encode(hashlib.md5(text).digest()).decode()
    answer = await logged.alice("POST", "/data?delete", body=text, headers={"content-md5": digest})
    assert answer.status == 200
    _, request, done, failed = [fields(line) for line in logged.lines]
    assert request[6:10] == [
        "REST.POST.MULTI_OBJECT_DELETE", "-", "POST /data?delete HTTP/1.1", "200",
    ]  # fmt: skip
    assert done[6:11] == ["BATCH.DELETE.OBJECT", "a%20b", "-", "204", "-"]
    assert failed[6:11] == ["BATCH.DELETE.OBJECT", long, "-", "-", "KeyTooLongError"]
    assert done[4] == request[4]


async def test_lifecycle_rules_leave_lines_of_what_they_remove(
    logged: Store, tmp_path: Path
) -> None:
    await logged.alice.configure("/data?lifecycle", EXPIRE)
    await logged.alice.made("/data/a", body=b"x")
    spool, _ = job(logged, tmp_path)
    await expire(logged, spool)
    await logged.alice.configure("/data?versioning", VERSIONED)
    await logged.alice.made("/data/b", body=b"x")
    await expire(logged, spool)
    lines = [line for path in sorted(tmp_path.iterdir()) for line in path.read_text().splitlines()]
    found = [fields(line.split(" ", 2)[2] + "\n") for line in lines]
    assert [(each[4], each[6], each[7]) for each in found] == [
        ("AmazonS3", "S3.EXPIRE.OBJECT", "a"),
        ("AmazonS3", "S3.CREATE.DELETEMARKER", "b"),
    ]


async def test_refused_requests_leave_lines_too(logged: Store) -> None:
    await logged.nobody("GET", "/data/secret")
    await logged.bob("PUT", "/data/x", body=b"x")
    await logged.alice("GET", "/data/none")
    await logged.alice("GET", "/data/none", unsigned={"authorization": "AWS4-HMAC-SHA256 rubbish"})
    await logged.bob("PUT", "/data/x", headers={"x-amz-decoded-content-length": "9" * 5_000})
    found = [fields(line) for line in logged.lines]
    assert [(each[4], each[9], each[10]) for each in found] == [
        ("-", "403", "AccessDenied"),
        ("arn:aws:iam::bob-project:user/bob", "403", "AccessDenied"),
        ("arn:aws:iam::alice-project:user/alice", "404", "NoSuchKey"),
        ("-", "400", "AuthorizationHeaderMalformed"),
        ("arn:aws:iam::bob-project:user/bob", "403", "AccessDenied"),
    ]


async def test_bucket_that_cannot_be_read_does_not_break_the_answer(logged: Store) -> None:
    for key, row in await logged.rows():
        if key.startswith(b"B"):
            logged.meta._values[key] = row[:-1] + bytes([row[-1] ^ 1])
    rubbish = {"authorization": "AWS4-HMAC-SHA256 rubbish"}
    assert (await logged.alice("GET", "/data/a", unsigned=rubbish)).status == 400
    assert (await logged.alice("GET", "/data/a")).status == 500


async def test_no_line_can_be_forged_and_no_signature_be_read(logged: Store) -> None:
    forged = {"user-agent": 'x" 200 -\r\nfake line'.replace("\r\n", "\x0b"), "referer": 'é"\\ '}
    await logged.alice("GET", "/data/a%0Ab%22", unsigned=forged)
    await logged.alice("GET", "/data/a", how="query")
    await logged.alice("GET", "/data/a", how="v2-query")
    plain, signed, old = logged.lines
    assert (plain.count("\n"), len(fields(plain))) == (1, 26)
    assert "a%0Ab%22" in plain
    assert "X-Amz-Signature=* HTTP" in signed
    assert re.search(r"[?&]Signature=[* ]", old)
    assert [fields(line)[21] for line in (signed, old)] == ["QueryString", "QueryString"]


async def test_lines_are_delivered_once_their_time_is_over(logged: Store, tmp_path: Path) -> None:
    spool, delivery = job(logged, tmp_path / "spool")
    bucket = await logged.services.buckets.get("data")
    for number in range(3):
        spool.add(bucket, f"line {number}\n")
    assert (await delivery.step()).objects == 0
    logged.clock.ms += (INTERVAL_S + 5) * 1000
    done = await delivery.step()
    assert (done.objects, done.lines, done.has_more) == (1, 3, False)
    (key,) = await keys(logged)
    assert re.fullmatch(r"from/2026-\d\d-\d\d-\d\d-\d\d-\d\d-[0-9A-F]{16}", key)
    got = await logged.alice("GET", f"/logs/{key}")
    assert got.body == b"line 0\nline 1\nline 2\n"
    assert got.header("content-type") == "text/plain"
    assert list((tmp_path / "spool").iterdir()) == []


async def test_what_is_delivered_twice_is_one_object(
    logged: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool, delivery = job(logged, tmp_path)
    spool.add(await logged.services.buckets.get("data"), "line\n")
    logged.clock.ms += (INTERVAL_S + 5) * 1000
    (path,) = tmp_path.iterdir()
    before = path.read_bytes()
    await delivery.step()
    path.write_bytes(before)  # the file was not yet removed when all ended
    await delivery.step()
    assert len(await keys(logged)) == 1


async def test_lines_of_one_file_go_to_the_bucket_that_each_is_of(
    logged: Store, tmp_path: Path
) -> None:
    await logged.alice.made("/other")
    assert (await log_to(logged.alice, bucket="other")).status == 200
    spool, delivery = job(logged, tmp_path)
    data, other = [await logged.services.buckets.get(name) for name in ("data", "other")]
    for bucket in (data, other, data):
        spool.add(bucket, f"{bucket.name}\n")
    await logged.alice("DELETE", "/other")
    await logged.alice.made("/other")  # another bucket, although of the same name
    logged.clock.ms += (INTERVAL_S + 5) * 1000
    done = await delivery.step()
    assert (done.lines, done.dropped) == (2, 1)


@pytest.mark.parametrize("source", ["EventTime", "DeliveryTime"])
async def test_keys_may_name_account_region_bucket_and_day(
    logged: Store, tmp_path: Path, source: str
) -> None:
    assert (await log_to(logged.alice, more=partitioned(source))).status == 200
    spool, delivery = job(logged, tmp_path)
    spool.add(await logged.services.buckets.get("data"), "line\n")
    logged.clock.ms += (INTERVAL_S + 5) * 1000
    await delivery.step()
    (key,) = await keys(logged)
    time = "00-00-00" if source == "EventTime" else r"\d\d-\d\d-\d\d"
    form = (
        rf"from/alice-project/{logged.region}/data/2026/(\d\d)/(\d\d)/2026-\1-\2-{time}-[0-9A-F]+"
    )
    assert re.fullmatch(form, key)


async def test_target_that_takes_no_more_loses_lines_and_nothing_else(
    logged: Store, tmp_path: Path
) -> None:
    spool, delivery = job(logged, tmp_path)
    await logged.alice.configure("/logs?policy", statement("Deny", "*"))
    spool.add(await logged.services.buckets.get("data"), "line\n")
    logged.clock.ms += (INTERVAL_S + 5) * 1000
    done = await delivery.step()
    assert (done.objects, done.dropped, list(tmp_path.iterdir())) == (0, 1, [])
    assert (await logged.alice("GET", "/data")).status == 200


async def test_logs_of_others_are_readable_by_whom_the_grants_name(
    logged: Store, tmp_path: Path
) -> None:
    assert (await log_to(logged.alice, more=READER)).status == 200
    spool, delivery = job(logged, tmp_path)
    spool.add(await logged.services.buckets.get("data"), "line\n")
    logged.clock.ms += (INTERVAL_S + 5) * 1000
    await delivery.step()
    (key,) = await keys(logged)
    assert (await logged.bob("GET", f"/logs/{key}")).status == 200
    assert (await logged.nobody("GET", f"/logs/{key}")).status == 403


async def test_spool_has_a_limit(
    logged: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("s3server.core.log_spool.MAX_BYTES", 10)
    spool, _ = job(logged, tmp_path)
    bucket = await logged.services.buckets.get("data")
    for _ in range(3):
        spool.add(bucket, "line\n")
        logged.clock.ms += INTERVAL_S * 1000
    assert len(list(tmp_path.iterdir())) == 1
