"""s3fs, in Python of its own: it needs another botocore than ours."""

from __future__ import annotations

from pathlib import Path

from tests.support.client_tools import clients_python
from tests.support.clients.driver import Driven


class S3fs(Driven):
    """Its paths end without a slash and begin with a bucket."""

    odd_keys = ("100% +1?#&;=",)

    def command(self) -> list[str]:
        script = Path(__file__).with_name("drivers") / "drive_s3fs.py"
        return [clients_python(), str(script)]
