"""What policies cost a read: a 4 KiB GET under a bucket policy of 20 KB and 50 attached statements.

`python -m bench.authorise`: one worker's application in this process, on LMDB and three OSD
directories, is asked in turn for an object by the owner of its bucket, of whom no policy knows, and
for one in another bucket by a user with five managed policies of ten statements, under a bucket
policy of 20 KB. Each request is signed once and sent many times, so that the client costs nothing.
Processor time is counted, so that others on the machine disturb little; what uvicorn does for a
request is left out, so that the ratio is greater than over the wire.
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

from bench.servers import print_result
from bench.signing import Account, Signer
from s3server.app import build
from s3server.maintenance import initialise, open_tenants
from s3server.settings import quickstart_config

SIZE = 4_096
BUCKET_POLICY_BYTES = 20 * 1024
POLICIES, STATEMENTS = 5, 10
HOST, REGION = "s3.bench", "us-east-1"
FORM = {"content-type": "application/x-www-form-urlencoded"}
ROOT = Account("ROOTKEY", "secret-of-root")


class Caller:
    """Sends requests of one account to an application in this process."""

    def __init__(self, asgi: Any, account: Account) -> None:
        self._asgi, self._signer = asgi, Signer(HOST, account, REGION)

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
            "client": ("192.0.2.7", 50_000),
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
    """Return a policy of 20 KB, of which one statement is about the object."""
    statements = [_statement("data/4k", "s3:GetObject", {"AWS": "*"})]
    while len(_document(statements)) < BUCKET_POLICY_BYTES - 300:
        number = len(statements)
        account = {"AWS": f"{number:012}"}
        statements.append(_statement(f"data/team-{number}/*", "s3:GetObject", account))
    return _document(statements)


def attached_policies() -> list[bytes]:
    """Return documents of ten statements, of which the last of all is about the object."""
    places = [f"data/of-{number}/*" for number in range(1, POLICIES * STATEMENTS)] + ["data/4k"]
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
        "Condition": {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}},
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
        await caller.do("PUT", f"/{bucket}/4k", bytes(SIZE))
    await root.do("PUT", "/data?policy", bucket_policy(), {"content-md5": _md5(bucket_policy())})
    await root.iam("CreateUser", UserName="bound")
    for number, text in enumerate(attached_policies()):
        made = await root.iam("CreatePolicy", PolicyName=f"p{number}", PolicyDocument=text.decode())
        await root.iam("AttachUserPolicy", UserName="bound", PolicyArn=made["Arn"])
    key = await root.iam("CreateAccessKey", UserName="bound")
    return Caller(asgi, Account(key["AccessKeyId"], key["SecretAccessKey"]))


async def measure(directory: Path, rounds: int, requests: int) -> dict[str, Any]:
    """Return microseconds of processor time per request of both, and the ratios of all rounds."""
    config = quickstart_config(
        directory, access_key=ROOT.access_key, secret_key=ROOT.secret_key, server={"region": REGION}
    )
    await initialise(config)
    async with open_tenants(config) as tenants:
        await tenants.users.create_user("owner")
        made, secret = await tenants.users.create_key("owner")
    owner = Account(made.id, secret)
    application = build(config, slot=0)
    await application.open()
    try:
        bound = await prepare(application.asgi, owner)
        asked = [(Caller(application.asgi, owner), "/plain/4k"), (bound, "/data/4k")]
        taken: list[list[float]] = [[], []]
        for _ in range(rounds + 1):
            for (caller, target), times in zip(asked, taken, strict=True):
                scope = caller.sign("GET", target)
                start = time.process_time()
                for _ in range(requests):
                    await caller.send(scope)
                times.append((time.process_time() - start) / requests * 1e6)
    finally:
        await application.close()
    plain, policied = (times[1:] for times in taken)  # the first round fills the caches
    ratios = [after / before for before, after in zip(plain, policied, strict=True)]
    return {
        "us_without": round(statistics.median(plain), 1),
        "us_with": round(statistics.median(policied), 1),
        "ratio": round(statistics.median(ratios), 3),
        "ratio_spread": [round(min(ratios), 3), round(max(ratios), 3)],
        "rounds": rounds,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--requests", type=int, default=400)
    options = parser.parse_args()

    def work() -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="bench-authorise-") as directory:
            return asyncio.run(measure(Path(directory), options.rounds, options.requests))

    print_result(work)


if __name__ == "__main__":
    main()
