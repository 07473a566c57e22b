"""Events while everything is killed: none is lost, duplicates are known by their ids."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from bench.servers import free_port
from tests.support.rabbitmq import Broker, run_broker
from tests.support.server_process import ROOT

WRITERS, KEYS, WAIT_S = 8, 40, 300
ENVIRONMENT = os.environ | {
    "S3SERVER_ROOT_ACCESS_KEY": "AKIAROOTKILLED",
    "S3SERVER_ROOT_SECRET_KEY": "secret-of-root-while-killed",
}


class Killed:
    """A server on a port of its own that is killed and started again."""

    def __init__(self, directory: Path, port: int) -> None:
        self._directory, self.port = directory, port
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "s3server", "quickstart", str(self._directory), "--json"]
        command += ["--listen", f"127.0.0.1:{self.port}", "--workers", "2"]
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        assert self._process.stdout.readline(), "the server does not start"

    def kill(self) -> None:
        """End every process at once, and wait for the last one: they share store and port."""
        assert self._process is not None
        assert self._process.stdout is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.stdout.read()  # to its end: the pipe closes with the last process
        self._process.wait()
        self._process.stdout.close()

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=f"http://127.0.0.1:{self.port}",
            aws_access_key_id=ENVIRONMENT["S3SERVER_ROOT_ACCESS_KEY"],
            aws_secret_access_key=ENVIRONMENT["S3SERVER_ROOT_SECRET_KEY"],
            region_name="us-east-1",
            config=Config(retries={"total_max_attempts": 1}, read_timeout=60),
        )


class Writers:
    """Threads that write and remember what was acknowledged: (key, ETag) pairs."""

    def __init__(self, server: Killed, count: int) -> None:
        self.acknowledged: list[tuple[str, str]] = []
        self._server, self._left = server, count
        self._lock = threading.Lock()
        self.threads = [threading.Thread(target=self._run, args=(n,)) for n in range(WRITERS)]
        for thread in self.threads:
            thread.start()

    def _run(self, number: int) -> None:
        s3, choice, serial = self._server.client("s3"), random.Random(number), 0
        while True:
            with self._lock:
                if self._left <= 0:
                    return
            serial += 1
            key = f"{number}/{choice.randrange(KEYS)}"
            try:
                made = s3.put_object(Bucket="data", Key=key, Body=f"{number} {serial}".encode())
            except (BotoCoreError, ClientError):
                time.sleep(0.05)
                continue
            with self._lock:
                self._left -= 1
                self.acknowledged.append((key, made["ETag"].strip('"')))

    @property
    def are_busy(self) -> bool:
        return any(thread.is_alive() for thread in self.threads)


def drain(broker: Broker, server: Killed, expected: set[tuple[str, str]]) -> list[Any]:
    """Return all messages, in their order, once every expected event is among them."""
    connection = broker.connect()
    channel = connection.channel()
    found: list[tuple[str, dict[str, Any]]] = []
    missing, deadline = set(expected), time.monotonic() + WAIT_S
    for method, properties, body in channel.consume("data", inactivity_timeout=5):
        assert time.monotonic() < deadline, f"{len(missing)} events are missing"
        if method is None:
            if not missing:
                break
            continue
        channel.basic_ack(method.delivery_tag)
        for record in json.loads(body).get("Records", ()):
            stored = record["s3"]["object"]
            found.append((properties.message_id, stored))
            missing.discard((stored["key"], stored["eTag"]))
    connection.close()
    return found


@pytest.mark.parametrize(
    ("writes", "kills", "stops"),
    [(400, 3, 1), pytest.param(10_000, 50, 5, marks=pytest.mark.slow)],
)
def test_no_event_is_lost_while_server_and_broker_are_killed(
    tmp_path: Path, writes: int, kills: int, stops: int
) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    server = Killed(tmp_path / "store", free_port())
    with run_broker(tmp_path / "rabbitmq") as broker:
        connection = broker.connect()
        channel = connection.channel()
        channel.exchange_declare("data", "fanout", durable=True)
        channel.queue_declare("data", durable=True)
        channel.queue_bind("data", "data")
        connection.close()
        server.start()
        sns, s3 = server.client("sns"), server.client("s3")
        attributes = {"push-endpoint": broker.url, "amqp-exchange": "data", "persistent": "true"}
        arn = sns.create_topic(Name="data", Attributes=attributes)["TopicArn"]
        s3.create_bucket(Bucket="data")
        rule = {"TopicArn": arn, "Events": ["s3:ObjectCreated:*"]}
        s3.put_bucket_notification_configuration(
            Bucket="data", NotificationConfiguration={"TopicConfigurations": [rule]}
        )
        writers = Writers(server, writes)
        steps = ["kill"] * kills + ["stop"] * stops
        chance.shuffle(steps)
        for step in steps:
            time.sleep(chance.uniform(0.1, 0.8))
            if step == "kill":
                server.kill()
                server.start()
            else:
                broker.stop()
                time.sleep(chance.uniform(0.1, 1.0))
                broker.start()
        for thread in writers.threads:
            thread.join(WAIT_S)
        assert not writers.are_busy
        expected = set(writers.acknowledged)
        assert len(expected) >= writes
        found = drain(broker, server, expected)
        with suppress(ProcessLookupError):
            server.kill()
    by_id: dict[str, dict[str, Any]] = {}
    newest: dict[str, str] = {}
    for identity, stored in found:
        assert by_id.setdefault(identity, stored) == stored, "two events have one id"
    for stored in by_id.values():  # in the order in which each came for the first time
        assert stored["sequencer"] > newest.get(stored["key"], ""), "a key's events changed places"
        newest[stored["key"]] = stored["sequencer"]
    told = {(stored["key"], stored["eTag"]) for stored in by_id.values()}
    print(f"{len(expected)} writes, {len(by_id)} events, {len(found) - len(by_id)} duplicates")
    assert expected <= told
