"""SDKs of other languages, and of another virtual environment: programs that do what they are told.

A program reads a request as one line of JSON and answers with one: `{"do": "put", "bucket": ...,
"key": ..., "file": ...}`, `{"ok": ...}` or `{"error": "..."}`. It is told where the server is by
the environment alone.
"""

from __future__ import annotations

import json
import select
import subprocess
from pathlib import Path
from typing import Any

from tests.support.client_tools import TOOL_S
from tests.support.clients.client import Library


class Driven(Library):
    """A client that lives in a process of its own until it is closed."""

    def command(self) -> list[str]:
        """Return what to start; skip the test where it is not installed."""
        raise NotImplementedError

    def open(self) -> None:
        command = self.command()  # first of all: it may skip
        self._log = (self.home / "driver.log").open("w+")
        self._process = subprocess.Popen(
            command,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )

    def close(self) -> None:
        self._process.communicate(timeout=TOOL_S)
        self._log.close()
        assert self._process.returncode == 0

    def ask(self, do: str, bucket: str, **more: Any) -> Any:
        """Send one request and return the answer; fail on an error, or if none comes."""
        line = json.dumps({"do": do, "bucket": bucket, **more}) + "\n"
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line.encode())
        self._process.stdin.flush()
        if not select.select([self._process.stdout], [], [], TOOL_S)[0]:
            self._process.kill()
        answer = json.loads(self._process.stdout.readline() or "{}")
        if "ok" not in answer:
            self._log.seek(0)
            raise AssertionError(f"{line}{answer.get('error')}\n{self._log.read()}")
        return answer["ok"]

    def make(self, bucket: str) -> None:
        self.ask("make", bucket)

    def put(self, bucket: str, key: str, file: Path) -> None:
        self.ask("put", bucket, key=key, file=str(file))

    def keys(self, bucket: str) -> set[str]:
        return set(self.ask("keys", bucket))

    def get(self, bucket: str, key: str, file: Path) -> None:
        self.ask("get", bucket, key=key, file=str(file))

    def read(self, bucket: str, key: str, start: int, stop: int) -> bytes:
        file = self.home / "range"
        self.ask("get", bucket, key=key, file=str(file), range=[start, stop])
        return file.read_bytes()

    def copy(self, bucket: str, source: str, target: str) -> None:
        self.ask("copy", bucket, source=source, key=target)

    def url(self, bucket: str, key: str) -> str:
        return str(self.ask("url", bucket, key=key))

    def delete(self, bucket: str, key: str) -> None:
        self.ask("delete", bucket, key=key)
