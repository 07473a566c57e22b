"""What policies cost a read: a 4 KiB GET under a bucket policy of 20 KB and 50 attached statements.

`python -m bench.authorise`: objects are asked for in turn by the owner of their bucket, of whom no
policy knows, and others by a user with five managed policies of ten statements, under a bucket
policy of 20 KB; all statements have a condition. Over the wire this is a GET as clients know it
(`authorise_wire`); in process it is what `PlainReads` does for it, from bytes to bytes, without
sockets: the greater ratio. Both of the same object time and again, and of another one each time.

With `--count N` nothing is timed: N requests of the one or the other kind are done in process, so
that under `valgrind --tool=callgrind` the difference of two counts is what a request costs.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import statistics
import tempfile
import time
from base64 import b64encode
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree as ET

from bench.authorise_wire import STORE, Asked, make_store, measure_wire
from bench.servers import ACCOUNT as ROOT
from bench.servers import print_result
from bench.signing import Account, Signer
from s3server.app import Application, build
from s3server.maintenance import open_tenants
from s3server.settings import load
from s3server.wire.plain import read_plain

SIZE = 4_096
OBJECTS = 500  # of which another one is asked for each time
BUCKET_POLICY_BYTES = 20 * 1024
POLICIES, STATEMENTS = 5, 10
VALGRIND = {"storage": {"map_size_gib": 8}}  # which has no room for much more
HOST, REGION = "s3.bench", "us-east-1"
CLIENT = "127.0.0.1"
FORM = {"content-type": "application/x-www-form-urlencoded"}


class Caller:
    """Sends requests of one account to an application in this process."""

    def __init__(self, asgi: Any, account: Account) -> None:
        self._asgi, self._signer, self.account = asgi, Signer(HOST, account, REGION), account

    def sign(
        self, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """Return a request as an ASGI scope."""
        path, _, query = target.partition("?")
        sha256 = hashlib.sha256(body).hexdigest().encode()
        head = self._signer.render(
            method, path, f"{query}=" if query else "", sha256=sha256, size=len(body) or None,
            headers=headers,
        )  # fmt: skip
        lines = head.decode().split("\r\n")[1:-2]
        pairs = [line.split(":", 1) for line in lines]
        return {
            "type": "http",
            "method": method,
            "scheme": "http",
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.lower().encode(), value.strip().encode()) for name, value in pairs],
            "client": (CLIENT, 50_000),
        }

    async def send(self, scope: dict[str, Any], body: bytes = b"") -> bytes:
        """Return the body of the answer, which must be a success."""
        received: list[bytes] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start" and message["status"] >= 300:
                received.append(b"refused: ")
            received.append(message.get("body", b""))

        await self._asgi(scope, receive, send)
        answer = b"".join(received)
        if answer.startswith(b"refused: "):
            raise ValueError(answer.decode(errors="replace"))
        return answer

    async def do(
        self, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> bytes:
        return await self.send(self.sign(method, target, body, headers), body)

    async def iam(self, action: str, **fields: str) -> dict[str, str]:
        """Send a request to IAM; return the texts of its answer by their elements."""
        form = urlencode({"Action": action, "Version": "2010-05-08", **fields}).encode()
        root = ET.fromstring(await self.do("POST", "/", form, FORM))
        return {each.tag.rpartition("}")[2]: each.text or "" for each in root.iter()}


def bucket_policy() -> bytes:
    """Return a policy of 20 KB, of which one statement is about the objects."""
    statements = [_statement("data/4k/*", "s3:GetObject", {"AWS": "*"})]
    while len(_document(statements)) < BUCKET_POLICY_BYTES - 300:
        number = len(statements)
        account = {"AWS": f"{number:012}"}
        statements.append(_statement(f"data/team-{number}/*", "s3:GetObject", account))
    return _document(statements)


def attached_policies() -> list[bytes]:
    """Return documents of ten statements, of which the last of all is about the objects."""
    places = [f"data/of-{number}/*" for number in range(1, POLICIES * STATEMENTS)] + ["data/4k/*"]
    statements = [_statement(place, "s3:Get*") for place in places]
    return [
        _document(statements[start : start + STATEMENTS])
        for start in range(0, len(statements), STATEMENTS)
    ]


def _statement(place: str, action: str, principal: Any = None) -> dict[str, Any]:
    return {
        "Effect": "Allow",
        **({"Principal": principal} if principal else {}),
        "Action": action,
        "Resource": f"arn:aws:s3:::{place}",
        "Condition": {"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}},
    }


def _md5(body: bytes) -> str:
    return b64encode(hashlib.md5(body).digest()).decode()


def _document(statements: list[dict[str, Any]]) -> bytes:
    return json.dumps({"Version": "2012-10-17", "Statement": statements}).encode()


async def prepare(asgi: Any, owner: Account) -> Caller:
    """Make both buckets, and the user who is bound in the second."""
    root = Caller(asgi, ROOT)
    for caller, bucket in ((Caller(asgi, owner), "plain"), (root, "data")):
        await caller.do("PUT", f"/{bucket}")
        for target in targets(bucket, OBJECTS):
            await caller.do("PUT", target, bytes(SIZE))
    await root.do("PUT", "/data?policy", bucket_policy(), {"content-md5": _md5(bucket_policy())})
    await root.iam("CreateUser", UserName="bound")
    for number, text in enumerate(attached_policies()):
        made = await root.iam("CreatePolicy", PolicyName=f"p{number}", PolicyDocument=text.decode())
        await root.iam("AttachUserPolicy", UserName="bound", PolicyArn=made["Arn"])
    key = await root.iam("CreateAccessKey", UserName="bound")
    return Caller(asgi, Account(key["AccessKeyId"], key["SecretAccessKey"]))


def targets(bucket: str, objects: int) -> list[str]:
    """Return the paths of objects of a bucket that the policies are about."""
    return [f"/{bucket}/4k/{number:04}" for number in range(objects)]


async def measure(
    directory: Path, given: argparse.Namespace
) -> tuple[dict[str, Any], dict[str, list[Asked]]]:
    """Prepare a store that is there; return what both cost in process, and who asks for what."""
    root = {"access_key": ROOT.access_key, "secret_key": ROOT.secret_key}
    config = load(directory / "s3server.toml", command_line={"root": root, **VALGRIND})
    async with open_tenants(config) as tenants:
        await tenants.users.create_user("owner")
        made, secret = await tenants.users.create_key("owner")
    owner = Account(made.id, secret)
    application = build(config, slot=0)
    await application.open()
    try:
        bound = await prepare(application.asgi, owner)
        await _warm(application.asgi, owner, "plain")
        await _warm(application.asgi, bound.account, "data")
        asked = {
            name: [(owner, targets("plain", objects)), (bound.account, targets("data", objects))]
            for name, objects in (("same_object", 1), ("another_each_time", OBJECTS))
        }
        if given.count is not None:
            _time(application, asked["another_each_time"][not given.without], given.count)
            return {"done": given.count}, {}
        figures = {name: _compare(application, both, given) for name, both in asked.items()}
    finally:
        await application.close()
    return figures, asked


async def _warm(asgi: Any, account: Account, bucket: str) -> None:
    """Have what caches keep of objects in them, so that a GET goes the short way."""
    for target in targets(bucket, OBJECTS):
        await Caller(asgi, account).do("GET", target)


def _compare(
    application: Application, both: list[Asked], given: argparse.Namespace
) -> dict[str, Any]:
    """Return what policies add, where both ask in turn."""
    taken: list[list[float]] = [[], []]
    for _ in range(given.rounds + 1):
        for asked, times in zip(both, taken, strict=True):
            times.append(_time(application, asked, given.requests))
    plain, policied = (times[1:] for times in taken)  # the first round fills the caches
    ratios = [after / before for before, after in zip(plain, policied, strict=True)]
    return {
        "us_without": round(min(plain), 1),
        "us_with": round(min(policied), 1),
        "added_us": round(min(policied) - min(plain), 1),
        "ratio": round(statistics.median(ratios), 3),
        "ratio_spread": [round(min(ratios), 3), round(max(ratios), 3)],
        "rounds": given.rounds,
    }


def _time(application: Application, asked: Asked, requests: int) -> float:
    """Return the processor microseconds that one request costs in process."""
    account, paths = asked
    signer = Signer(HOST, account, REGION)
    rendered = [signer.render("GET", path) for path in paths]
    start = time.process_time()
    for number in range(requests):
        data = rendered[number % len(rendered)]
        request = read_plain(data, scheme="http", client=CLIENT)
        if request is None or application.at_once(request) is None:
            raise ValueError("a GET did not go the short way")
    return (time.process_time() - start) / requests * 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60, help="in process")
    parser.add_argument("--requests", type=int, default=500, help="of a round")
    parser.add_argument("--pairs", type=int, default=10, help="of seconds over the wire")
    parser.add_argument("--count", type=int, help="do so many requests, and time nothing")
    parser.add_argument("--without", action="store_true", help="those that no policy knows")
    options = parser.parse_args()

    def work() -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="bench-authorise-") as name:
            store = Path(name) / STORE
            make_store(Path(name))
            figures, asked = asyncio.run(measure(store, options))
            if options.count is not None:
                return figures
            wire = {
                how: measure_wire(Path(name), both, SIZE, options.pairs)
                for how, both in asked.items()
            }
            return {"in_process": figures, "over_the_wire": wire}

    print_result(work)


if __name__ == "__main__":
    main()
