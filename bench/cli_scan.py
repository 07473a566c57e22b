"""`s3bench scan`: its options, and where its result goes."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from bench.cli_run import add_endpoint_arguments, endpoint
from bench.credentials import find
from bench.endpoint import parse_endpoint
from bench.plots import scan_figure
from bench.scan import Site, scan
from bench.settings import parse_size


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of a scan."""
    add_endpoint_arguments(parser)
    parser.add_argument("--ours", action="store_true", help="start a server, and nginx before it")
    parser.add_argument("--https-endpoint", default="", help="the same server, by HTTPS")
    parser.add_argument("--size", type=parse_size, default=384_000_000, help="default 384MB")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dir", default="", help="of the local file, and of a server of ours")
    parser.add_argument(
        "--uproot", default="", metavar="PYTHON", help="read with uproot, which this Python has"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="write all that was measured there"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write a PNG figure")


def run(given: argparse.Namespace) -> None:
    """Scan; print what was measured, or the ratios alone where all goes to a file."""
    found = scan(
        None if given.ours else _site(given),
        given.dir,
        size=given.size,
        rounds=given.rounds,
        python=given.uproot,
        tell=lambda text: print(text, file=sys.stderr, flush=True),
    )
    if given.out:
        given.out.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found["ratio_to_local"] if given.out else found, indent=1))
    if given.plot:
        scan_figure(found).savefig(given.plot, dpi=110)


def _site(given: argparse.Namespace) -> Site:
    found = find(given.access_key, given.secret_key, given.profile)
    plain = endpoint(given, found)
    secure = None
    if given.https_endpoint:
        secure = parse_endpoint(given.https_endpoint, plain.region, given.ca_file)
    return Site(plain, secure, found.accounts[0])
