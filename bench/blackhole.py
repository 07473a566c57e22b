"""`python -m bench.blackhole --amqp URL`: what a broker that never answers costs those who write.

One server, three buckets: without a topic, with a topic whose broker is well, and with one whose
broker is a port that accepts connections and says nothing. Both topics are persistent. The same
PUTs go to the three in turn, in an order that changes with every round, for a few seconds each, so
that what else the machine does meets all of them; what waits for the broker that is well is drained
after its turn, and burdens nobody else's. Prints JSON: latencies, and p99 of the black hole by that
of each other bucket, over the rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import boto3
import pika

from bench.compare import ratios
from bench.endpoint import parse_endpoint
from bench.run import window
from bench.servers import ACCESS_KEY, ACCOUNT, OURS, SECRET_KEY, Server, print_result, running
from bench.session import Session
from bench.settings import add_load_arguments

PLAIN, HEALTHY, HOLE = "bench-plain", "bench-healthy", "bench-hole"


@contextmanager
def black_hole() -> Iterator[str]:
    """Give the URL of a broker that accepts connections and never answers."""
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1_024)  # the kernel accepts; nobody reads
        yield f"amqp://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def exchange(amqp: str) -> Iterator[None]:
    """Have an exchange at the broker, with a queue behind it; both are removed at the end."""
    connection = pika.BlockingConnection(pika.URLParameters(amqp))
    channel = connection.channel()
    channel.exchange_declare(HEALTHY, "fanout", durable=True)
    channel.queue_declare(HEALTHY, durable=True)
    channel.queue_bind(HEALTHY, HEALTHY)
    connection.close()  # a run lasts longer than the broker waits for heartbeats
    try:
        yield
    finally:
        connection = pika.BlockingConnection(pika.URLParameters(amqp))
        channel = connection.channel()
        channel.queue_delete(HEALTHY)
        channel.exchange_delete(HEALTHY)
        connection.close()


def prepare(server: Server, brokers: dict[str, str]) -> None:
    """Make the topics of those buckets that have a broker."""
    keys = {"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": SECRET_KEY}
    s3, sns = (
        boto3.client(name, endpoint_url=server.endpoint, region_name="us-east-1", **keys)
        for name in ("s3", "sns")
    )
    for bucket, url in brokers.items():
        attributes = {"push-endpoint": url, "amqp-exchange": bucket, "persistent": "true"}
        arn = sns.create_topic(Name=bucket, Attributes=attributes)["TopicArn"]
        rule = {"TopicArn": arn, "Events": ["s3:ObjectCreated:*"]}
        s3.put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration={"TopicConfigurations": [rule]}
        )


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return every round and the ratios of p99 over them."""
    rounds: list[dict[str, dict[str, Any]]] = []
    with (
        tempfile.TemporaryDirectory(dir=arguments.dir, prefix="bench-") as name,
        black_hole() as hole,
        exchange(arguments.amqp),
        running("server", OURS, Path(name)) as server,
        ExitStack() as stack,
    ):
        order = [PLAIN, HEALTHY, HOLE]
        sessions = {bucket: stack.enter_context(_session(server, bucket)) for bucket in order}
        prepare(server, {HEALTHY: arguments.amqp, HOLE: hole})
        for number in range(arguments.rounds):
            found = {}
            for bucket in order:
                found[bucket] = _window(server, sessions[bucket], bucket, arguments)
                _drain(Path(name) / "server")
            rounds.append(found)
            order = [*order[1:], order[0]]
            print(f"round {number + 1}: {_line(found)}", file=sys.stderr, flush=True)
    return {
        "p99_by_plain": _ratios(rounds, PLAIN),
        "p99_by_healthy": _ratios(rounds, HEALTHY),
        "rounds": rounds,
    }


def _session(server: Server, bucket: str) -> Session:
    return Session(parse_endpoint(server.endpoint, "us-east-1"), (ACCOUNT,), (bucket,))


def _window(
    server: Server, session: Session, bucket: str, arguments: argparse.Namespace
) -> dict[str, Any]:
    os.sync()
    put = argparse.Namespace(**{**vars(arguments), "op": "put"})
    return window(server, session, bucket, put)


def _drain(directory: Path) -> None:
    """Wait until nothing waits for the broker that is well."""
    command = [sys.executable, "-m", "s3server", "events", "status", "--json"]
    while True:
        done = subprocess.run([*command, "--dir", str(directory)], check=True, capture_output=True)
        rows = json.loads(done.stdout)
        if not any(row["backlog"] for row in rows if row["arn"].endswith(f":{HEALTHY}")):
            return
        time.sleep(0.2)


def _ratios(rounds: list[dict[str, dict[str, Any]]], other: str) -> dict[str, float]:
    pairs = [{"A": found[HOLE]["latency_ms"], "B": found[other]["latency_ms"]} for found in rounds]
    return ratios(pairs, "p99")


def _line(found: dict[str, dict[str, Any]]) -> str:
    return "  ".join(
        f"{bucket} {found[bucket]['ops_per_s']}/s p99 {found[bucket]['latency_ms']['p99']} ms"
        f" errors {sum(found[bucket]['errors'].values())}"
        for bucket in (PLAIN, HEALTHY, HOLE)
    )


def main() -> None:
    """Parse the arguments, measure, print JSON; status 1 where no figure can be had."""
    parser = argparse.ArgumentParser(prog="bench.blackhole", description=__doc__)
    parser.add_argument("--amqp", required=True, metavar="URL", help="of the broker that is well")
    parser.add_argument("--rounds", default=6, type=int)
    parser.add_argument("--dir", help="where the server keeps its data")
    add_load_arguments(parser)
    arguments = parser.parse_args()
    print_result(lambda: measure(arguments))


if __name__ == "__main__":
    main()
