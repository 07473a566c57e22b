"""One scan with our own reader, in a process of its own; prints its seconds as JSON.

`local FILE`, or `single|vector ENDPOINT REGION CA_FILE PATH SIZE`, keys on standard input.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from bench.endpoint import parse_endpoint
from bench.event_file import scan
from bench.signing import Account
from bench.sources import Local, Remote, RemoteVector


def source(arguments: list[str]) -> tuple[Local | Remote, int]:
    """Return what to read from, and its size."""
    kind, *rest = arguments
    if kind == "local":
        return Local(Path(rest[0])), Path(rest[0]).stat().st_size
    url, region, ca_file, path, size = rest
    made = RemoteVector if kind == "vector" else Remote
    account = Account(*json.load(sys.stdin))
    return made(parse_endpoint(url, region, ca_file), account, path), int(size)


def main() -> None:
    """Scan once."""
    began = time.perf_counter()
    reader, size = source(sys.argv[1:])
    total, read_bytes = scan(reader.read, size)
    seconds = time.perf_counter() - began
    reader.close()
    print(json.dumps({"seconds": seconds, "sum": total, "read_bytes": read_bytes}))


if __name__ == "__main__":
    main()
