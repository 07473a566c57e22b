"""`s3bench`, or `python -m bench`: says what to install where something is missing."""

from __future__ import annotations

import sys
from importlib import import_module


def main() -> None:
    """Run the command line."""
    try:
        cli = import_module("bench.cli")
    except ModuleNotFoundError as error:
        sys.exit(f"s3bench: {error}; pip install 's3server[bench]'")
    cli.main()


if __name__ == "__main__":
    main()
