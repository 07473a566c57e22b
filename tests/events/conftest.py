"""A broker and a server that share a module's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.support.rabbitmq import Broker, run_broker
from tests.support.server_process import RunningServer, run_server


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with run_broker(Path(tmp_path_factory.mktemp("rabbitmq"))) as running:
        yield running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with run_server(tmp_path_factory.mktemp("server") / "store") as running:
        yield running


@pytest.fixture
def client(server: RunningServer) -> Callable[..., Any]:
    """Return boto3 clients of the server: client("sns")."""

    def make(service: str, **options: Any) -> Any:
        return boto3.client(
            service,
            endpoint_url=server.endpoint,
            aws_access_key_id=server.access_key,
            aws_secret_access_key=server.secret_key,
            region_name=server.region,
            **options,
        )

    return make
