"""Inputs at which a parser once failed, by the name of its target."""

from __future__ import annotations

REGRESSIONS: dict[str, tuple[bytes, ...]] = {
    "connection": (b"\r\n\r\n",),
    "short way": (
        b"\r\n\r\n",
        b"GET /data/key HTTP/1.1\r\nHost: s3.test\r\nAccept\r\n\r\n",  # a field without colon
    ),
    "metadata": (b"=?UTF-8?B?w6k\xbfw6k=?= a",),
    "records": (
        b"J".ljust(40, b"\0") + b"\x01\x91\xa1\xff",
        b"B".ljust(40, b"\0") + b"\x01\x91\xa1\xff",
    ),
    "journal": (b"S3JOURNL\0\0\0\1" + b"\xff" * 32 + b"\0" * 468,),
    "snapshots": (b"S3SNAPSH\0\0\0\1" + b"\xff" * 32 + b"\0" * 468,),
}
