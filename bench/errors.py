"""Why there is no figure."""

from __future__ import annotations


class BenchError(Exception):
    """The run cannot be done, or would not mean anything."""
