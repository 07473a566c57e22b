"""The AWS SDK for JavaScript, version 3."""

from __future__ import annotations

from pathlib import Path

from tests.support.client_tools import NODE_MODULES, node
from tests.support.clients.driver import Driven


class JavaScript(Driven):
    """Its client with the Upload of @aws-sdk/lib-storage."""

    def command(self) -> list[str]:
        command = node()
        self.environment = self.environment | {"NODE_PATH": str(NODE_MODULES)}
        return [command, str(Path(__file__).with_name("drivers") / "javascript.cjs")]
