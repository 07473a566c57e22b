"""A real RabbitMQ of the tests' own: its ports, its node name, its directory, stopped by pid."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pika
import pytest

from bench.servers import free_port

PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
START_S, STOP_S = 120, 60


class Broker:
    """A broker that can be stopped and started again where it was."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        ports: set[int] = set()
        while len(ports) < 3:
            ports.add(free_port())
        self.port, self._dist, self._epmd = ports
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"amqp://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start, and wait until it accepts connections."""
        self._directory.mkdir(exist_ok=True)
        (self._directory / "plugins").write_text("[].")
        environment = {
            "PATH": "/usr/lib/rabbitmq/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self._directory),
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(self._epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"test{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._dist),
            "RABBITMQ_MNESIA_BASE": str(self._directory / "data"),
            "RABBITMQ_LOG_BASE": str(self._directory / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._directory / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(self._directory / "none"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 "
            "-kernel inet_dist_use_interface {127,0,0,1}",
        }
        with (self._directory / "out").open("ab") as out:
            self._process = subprocess.Popen(
                [PROGRAM], cwd=self._directory, env=environment, stdout=out, stderr=out,
                start_new_session=True,
            )  # fmt: skip # its core dumps go where it runs
        deadline = time.monotonic() + START_S
        while True:
            with suppress(Exception), closing(self.connect()):
                return
            assert self._process.poll() is None, (self._directory / "out").read_text()
            assert time.monotonic() < deadline, "RabbitMQ does not start"
            time.sleep(0.2)

    def stop(self) -> None:
        """Kill it, and what it has started."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(STOP_S)
            self._process = None
        for pid in _processes_with(f"ERL_EPMD_PORT={self._epmd}"):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def connect(self) -> pika.BlockingConnection:
        """Connect as a consumer does."""
        return pika.BlockingConnection(pika.URLParameters(self.url))


@contextmanager
def run_broker(directory: Path) -> Iterator[Broker]:
    """Start a broker, and stop it at the end."""
    if not PROGRAM.exists():
        pytest.skip("RabbitMQ is not installed")
    broker = Broker(directory)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


def _processes_with(variable: str) -> list[int]:
    """Return the processes with an environment variable: epmd goes its own way."""
    found = []
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit():
            with suppress(OSError):
                if variable.encode() in (directory / "environ").read_bytes().split(b"\0"):
                    found.append(int(directory.name))
    return [pid for pid in found if pid != os.getpid()]
