"""A project's coming end reaches a real broker, once, although the server starts again."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.events.test_broker_failures import WAIT_S, declare
from tests.support.rabbitmq import Broker
from tests.support.server_process import ROOT, RunningServer, run_server

TOPIC = "arn:aws:sns:us-east-1:000000000000:projects"


def project(running: RunningServer, *command: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "s3server", "project", *command, "--dir", str(running.directory)],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip


def next_message(broker: Broker) -> tuple[str, dict[str, Any]]:
    """Return id and body of the next message."""
    connection = broker.connect()
    for method, properties, body in connection.channel().consume(
        "projects", inactivity_timeout=WAIT_S, auto_ack=True
    ):
        assert method is not None, "nothing came"
        connection.close()
        return properties.message_id, json.loads(body)
    raise AssertionError("the queue is gone")


def test_broker_is_told_once_of_each_state(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(broker, "projects")
    monkeypatch.setenv("S3SERVER_EVENTS__PROJECTS_TOPIC", TOPIC)
    with run_server(tmp_path / "store") as running:
        sns = boto3.client(
            "sns", endpoint_url=running.endpoint, region_name=running.region,
            aws_access_key_id=running.access_key, aws_secret_access_key=running.secret_key,
        )  # fmt: skip
        attributes = {"push-endpoint": broker.url, "amqp-exchange": "projects"}
        made = sns.create_topic(Name="projects", Attributes=attributes)
        assert made["TopicArn"] == TOPIC
        began = datetime.now(UTC)
        tomorrow = (began + timedelta(days=1)).strftime("%Y-%m-%d")
        project(running, "create", "geo", "--owner", "alice", "--end", tomorrow)
    with run_server(tmp_path / "store") as running:
        notice = next_message(broker)
        midnights = (datetime.now(UTC).date() - began.date()).days  # that passed meanwhile
        project(running, "disable", "geo")
    with run_server(tmp_path / "store"):
        disabled = next_message(broker)
    assert (notice[1]["Event"], notice[1]["Project"]) == ("Project:notice", "geo")
    assert notice[1]["DaysLeft"] in {2, 2 - midnights}
    assert notice[1]["Owner"] == "alice"
    assert notice[1]["EventId"] == notice[0] != disabled[0]
    assert disabled[1]["State"] == "disabled"
