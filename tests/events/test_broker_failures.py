"""A broker that is away, that never answers, that comes back: nothing is lost, nothing waits."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

from s3server.core.notifications import WAIT_S as PATIENCE_S
from tests.support.rabbitmq import Broker
from tests.support.server_process import RunningServer

WAIT_S = 60


def configure(
    client: Callable[..., Any], bucket: str, url: str, **attributes: str
) -> tuple[Any, str]:
    """Make a bucket whose creations go to a topic of its name; return S3 client and ARN."""
    s3, sns = client("s3"), client("sns")
    given = {"push-endpoint": url, "amqp-exchange": bucket, "persistent": "true", **attributes}
    arn = sns.create_topic(Name=bucket, Attributes=given)["TopicArn"]
    s3.create_bucket(Bucket=bucket)
    rule = {"TopicArn": arn, "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]}
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"TopicConfigurations": [rule]}
    )
    return s3, arn


def declare(broker: Broker, name: str) -> None:
    connection = broker.connect()
    channel = connection.channel()
    channel.exchange_declare(name, "fanout", durable=True)
    channel.queue_declare(name, durable=True)
    channel.queue_bind(name, name)
    connection.close()


def consume(broker: Broker, name: str, count: int) -> list[tuple[str, dict[str, Any]]]:
    """Return (message id, body) of so many messages that are no test events."""
    connection, found = broker.connect(), []
    channel = connection.channel()
    for method, properties, body in channel.consume(name, inactivity_timeout=WAIT_S):
        assert method is not None, f"only {len(found)} of {count} came"
        channel.basic_ack(method.delivery_tag)
        if "Records" in (decoded := json.loads(body)):
            found.append((properties.message_id, decoded["Records"][0]))
        if len({each for each, _ in found}) == count:
            break
    connection.close()
    return found


def status(server: RunningServer, arn: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "s3server", "events", "status", "--json"]
    done = subprocess.run(
        [*command, "--dir", str(server.directory)], check=True, capture_output=True
    )
    (row,) = [row for row in json.loads(done.stdout) if row["arn"] == arn]
    return row


def metrics(server: RunningServer) -> list[str]:
    command = [sys.executable, "-m", "s3server", "events", "metrics"]
    done = subprocess.run(
        [*command, "--dir", str(server.directory)], check=True, capture_output=True, text=True
    )
    return done.stdout.splitlines()


def test_events_of_a_broker_that_is_away_arrive_when_it_is_back(
    broker: Broker, server: RunningServer, client: Callable[..., Any]
) -> None:
    declare(broker, "away")
    s3, arn = configure(client, "away", broker.url)
    s3.put_object(Bucket="away", Key="0", Body=b"x")
    consume(broker, "away", 1)
    deadline = time.monotonic() + WAIT_S
    while status(server, arn)["backlog"]:  # the server may hear later than the consumer
        assert time.monotonic() < deadline, "what has come is not forgotten"
    broker.stop()
    for number in range(1, 31):
        s3.put_object(Bucket="away", Key=str(number % 3), Body=b"x")
    waits = status(server, arn)
    assert waits["backlog"] == 30
    assert f's3server_events_backlog{{topic="{arn}"}} 30.0' in metrics(server)
    broker.start()
    found = consume(broker, "away", 30)
    first: dict[str, dict[str, Any]] = {}  # what a broker that starts has taken may come again
    for identity, record in found:
        first.setdefault(identity, record["s3"]["object"])
    assert len(first) == 30
    for key in "012":
        order = [each["sequencer"] for each in first.values() if each["key"] == key]
        assert order == sorted(order)


def test_broker_that_never_answers_does_not_slow_writes(
    server: RunningServer, client: Callable[..., Any]
) -> None:
    with closing(socket.socket()) as hole:  # accepts, and says nothing
        hole.bind(("127.0.0.1", 0))
        hole.listen()
        s3, arn = configure(client, "hole", f"amqp://127.0.0.1:{hole.getsockname()[1]}")
        for number in range(20):
            s3.put_object(Bucket="hole", Key=str(number), Body=b"x")
        assert status(server, arn)["backlog"] == 21


def test_topic_that_is_not_persistent_is_waited_for(
    broker: Broker, server: RunningServer, client: Callable[..., Any]
) -> None:
    declare(broker, "waited")
    s3, arn = configure(client, "waited", broker.url, persistent="false")
    for number in range(5):
        began = time.monotonic()
        s3.put_object(Bucket="waited", Key=str(number), Body=b"x")
        is_given_up = time.monotonic() - began >= PATIENCE_S  # as a very busy broker is
        assert is_given_up or status(server, arn)["backlog"] == 0


def test_topic_that_is_not_persistent_is_not_waited_for_for_ever(
    server: RunningServer, client: Callable[..., Any]
) -> None:
    with closing(socket.socket()) as hole:
        hole.bind(("127.0.0.1", 0))
        hole.listen()
        url = f"amqp://127.0.0.1:{hole.getsockname()[1]}"
        s3, arn = configure(client, "forever", url, persistent="false")
        s3.put_object(Bucket="forever", Key="a", Body=b"x")  # answered, within boto3's patience
        assert status(server, arn)["backlog"] == 2


def test_unroutable_message_is_reported_and_kept(
    broker: Broker, server: RunningServer, client: Callable[..., Any]
) -> None:
    connection = broker.connect()
    connection.channel().exchange_declare("routable", "topic", durable=True)  # and no queue
    s3, arn = configure(client, "routable", broker.url, **{"amqp-ack-level": "routable"})
    s3.put_object(Bucket="routable", Key="a", Body=b"x")
    deadline = time.monotonic() + WAIT_S
    while "unroutable" not in (row := status(server, arn))["error"]:
        assert time.monotonic() < deadline, row
    assert (row["backlog"], row["state"]) == (2, "failing")
    channel = connection.channel()
    channel.queue_declare("routable")
    channel.queue_bind("routable", "routable", "#")
    assert len(consume(broker, "routable", 1)) == 1
    connection.close()


def test_replay_publishes_once_more_what_was_stored_since(
    broker: Broker, server: RunningServer, client: Callable[..., Any]
) -> None:
    declare(broker, "replay")
    s3, _ = configure(client, "replay", broker.url)
    for key in "abc":
        s3.put_object(Bucket="replay", Key=key, Body=b"x")
    first = consume(broker, "replay", 3)
    command = [sys.executable, "-m", "s3server", "events", "replay", "--dir", str(server.directory)]
    command += ["--bucket", "replay", "--since", "2020-01-01", "--json"]
    for dry in (["--dry-run"], []):
        done = subprocess.run([*command, *dry], check=True, capture_output=True)
        assert json.loads(done.stdout)["events"] == 3
    again = consume(broker, "replay", 3)
    assert {each for each, _ in first}.isdisjoint({each for each, _ in again})


def test_operator_can_try_a_topic(
    broker: Broker, server: RunningServer, client: Callable[..., Any]
) -> None:
    declare(broker, "tried")
    _, arn = configure(client, "tried", broker.url)
    command = [sys.executable, "-m", "s3server", "topic", "test", arn]
    command += ["--dir", str(server.directory)]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0
    connection = broker.connect()
    connection.channel().exchange_delete("tried")
    connection.close()
    assert subprocess.run(command, check=False, capture_output=True).returncode == 7
