"""The state of a store that nobody else has open in this process."""

from __future__ import annotations

from typing import Any

from s3server.config import Config
from s3server.metadata import open_to_read
from s3server.standing import standing_of


async def status_of(config: Config) -> dict[str, Any]:
    """Return the state of a store, whether its server runs or not."""
    meta = open_to_read(config)
    try:
        return await standing_of(meta)
    finally:
        await meta.close()
