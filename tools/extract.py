#!/usr/bin/env python3
"""Read objects out of OSD directories without the server: snapshot, journal, volumes, shard files.

Needs Python 3.11, msgspec and awscrt; pyeclib for erasure-coded blobs, cryptography for encrypted
objects (SSE-S3, whose key ring --keys names; those of clients' keys only clients can read).

Imports nothing of the server: it follows docs/on-disk-format.md. Whatever does not verify is told
of and never extracted.

    extract.py OSD... --list [--only BUCKET[/PREFIX]]
    extract.py OSD... --to DIRECTORY [--only BUCKET[/PREFIX]] [--keys FILE]

Exit status 1 where an object is not whole. Reads only.
"""

from __future__ import annotations

import argparse
import hmac
import json
import re
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import md5, sha256
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

import msgspec
from awscrt.checksums import crc32c

PAGE, BLOCK = 4096, 65536
unpack = msgspec.msgpack.decode


class DamagedError(Exception):
    """Something is not whole in any copy."""


def seal_of(data: bytes) -> int:
    return int.from_bytes(data[-4:], "big")


# --- metadata: snapshots and journals ---


@dataclass
class Copies:
    """Files that are alike: what cannot be read in one is read in another."""

    header: bytes
    paths: list[Path] = field(default_factory=list)

    def pread(self, size: int, offset: int) -> Iterator[bytes]:
        for path in self.paths:
            try:
                with path.open("rb") as file:
                    file.seek(offset)
                    yield file.read(size)
            except OSError:
                continue


def copies_of(osds: dict[int, Path], suffix: str, magic: bytes, cluster: str) -> list[Copies]:
    """Return the files of a kind whose headers verify, those that are alike together."""
    found: dict[bytes, Copies] = {}
    for osd in osds.values():
        for path in sorted((osd / "journal").glob(f"*{suffix}")):
            with path.open("rb") as file:
                header = file.read(512)
            name = header[12:44].rstrip(b"\0").decode(errors="replace")
            if len(header) < 512 or not header.startswith(magic) or name != cluster:
                continue
            if crc32c(header[:-4]) == seal_of(header):
                found.setdefault(header, Copies(header)).paths.append(path)
    return list(found.values())


def snapshot_rows(snapshot: Copies) -> dict[bytes, bytes]:
    """Return all rows of a snapshot. Raises DamagedError."""
    rows: dict[bytes, bytes] = {}
    offset, number = 512, 0
    while True:
        block = next(_blocks(snapshot, offset, number), None)
        if block is None:
            raise DamagedError(f"block {number} of {snapshot.paths[0].name} is whole in no copy")
        magic, body = block
        if magic == b"ENDS":
            if int.from_bytes(body, "big") != len(rows):
                raise DamagedError(f"{snapshot.paths[0].name} misses rows")
            return rows
        rows.update(unpack(body, type=list[tuple[bytes, bytes]]))
        offset, number = offset + 24 + len(body), number + 1


def _blocks(snapshot: Copies, offset: int, number: int) -> Iterator[tuple[bytes, bytes]]:
    seed = crc32c(snapshot.header)
    for at, head in enumerate(snapshot.pread(24, offset)):
        if len(head) < 24 or crc32c(head[:20], seed) != seal_of(head):
            continue
        magic, found, _, size, checksum = struct.unpack(">4sIIII", head[:20])
        body = list(snapshot.pread(size, offset + 24))[at]
        if found == number and len(body) == size and crc32c(body) == checksum:
            yield magic, body


@dataclass
class Segment:
    """One segment of the journal."""

    copies: Copies
    number: int
    base: int
    chain: int
    salt: bytes

    @classmethod
    def of(cls, copies: Copies) -> Segment:
        number, base, chain, salt = struct.unpack_from(">QQI16s", copies.header, 44)
        return cls(copies, number, base, chain, salt)

    def entry(self, offset: int, before: int, chain: int) -> tuple[int, int, bytes] | None:
        """Return last commit, seal and body of the entry that lies there; from any copy."""
        found: dict[int, tuple[int, int, bytes]] = {}
        for at, head in enumerate(self.copies.pread(36, offset)):
            if len(head) < 36 or crc32c(head[:32], crc32c(self.salt)) != seal_of(head):
                continue
            magic, follows, start, last, size, checksum = struct.unpack(">4sIQQII", head[:32])
            body = list(self.copies.pread(size, offset + 36))[at]
            fits = (magic, follows, start) == (b"JENT", chain, before)
            if fits and len(body) == size and crc32c(body) == checksum:
                found[seal_of(head)] = (last, seal_of(head), body)
        if len(found) < 2:
            return next(iter(found.values()), None)
        return max(found.values(), key=lambda each: self._reach(offset, each))

    def _reach(self, offset: int, entry: tuple[int, int, bytes]) -> int:
        after = offset + 36 + len(entry[2])
        following = self.entry(after, entry[0], entry[1])
        return entry[0] if following is None else self._reach(after, following)


def apply_journal(
    segments: list[Segment], rows: dict[bytes, bytes], sequence: int, chain: int
) -> int:
    """Change the rows after commit `sequence` as the journal says; return the last commit."""
    segments = [each for each in segments if each.entry(512, each.base, each.chain)]
    segments.sort(key=lambda each: each.number)
    for index, segment in enumerate(segments):
        limit = segments[index + 1].base if index + 1 < len(segments) else 1 << 63
        at, seal, offset = segment.base, segment.chain, 512
        while at < limit and (entry := segment.entry(offset, at, seal)) and entry[0] <= limit:
            if (at, seal) == (sequence, chain):
                for key, value in unpack(entry[2], type=list[tuple[bytes, bytes | None]]):
                    if value is None:
                        rows.pop(key, None)
                    else:
                        rows[key] = value
                sequence, chain = entry[:2]
            at, seal, offset = entry[0], entry[1], offset + 36 + len(entry[2])
    return sequence


def load(osds: dict[int, Path], cluster: str) -> tuple[dict[bytes, bytes], int]:
    """Return all rows of the store, and the last commit that they contain."""
    snapshots = copies_of(osds, ".snap", b"S3SNAPSH", cluster)
    segments = [Segment.of(each) for each in copies_of(osds, ".log", b"S3JOURNL", cluster)]
    snapshots.sort(key=lambda each: each.header[44:52], reverse=True)
    for snapshot in snapshots:
        sequence, chain = struct.unpack_from(">QI", snapshot.header, 44)
        try:
            rows = snapshot_rows(snapshot)
        except DamagedError as error:
            print(f"extract: {error}", file=sys.stderr)
            continue
        return rows, apply_journal(segments, rows, sequence, chain)
    raise DamagedError("no snapshot on these OSDs is whole")


def record(value: bytes) -> list[Any]:
    """Return the fields of a stored record. Raises DamagedError."""
    if len(value) < 6 or crc32c(value[:-4]) != seal_of(value) or value[0] != 1:
        raise DamagedError("a record fails its checksum, or is of a format that is not known")
    fields: list[Any] = unpack(value[1:-4])
    return fields


# --- bytes ---


@dataclass
class Span:
    """A stripe: where its fragments begin, how long they are, how long it is itself."""

    start: int
    fragment: int
    length: int


class Store:
    """Rows, and the OSDs that are here."""

    def __init__(self, osds: dict[int, Path], rows: dict[bytes, bytes]) -> None:
        self.osds, self.rows = osds, rows

    def blob(self, blob: bytes, data_key: bytes) -> Iterator[bytes]:
        """Yield the bytes of a blob, decrypted if there is a key. Raises DamagedError."""
        row = self.rows.get(b"D" + blob)
        if row is None:
            raise DamagedError(f"blob {blob.hex()} has no row")
        _, _, ref, parts, *_ = [*record(row), (), ()][:5]
        if ref is None:
            for part in parts:
                if part[1]:
                    yield from self.blob(part[0], data_key)
            return
        stored = self._stripes(ref) if ref[4] else iter([self._small(ref)])
        yield from decrypted(stored, data_key) if data_key else stored

    def _small(self, ref: list[Any]) -> bytes:
        _, _, blob, size, _, places, checksum = ref
        head = struct.pack(">4s16sII", b"BLOB", blob, size, checksum)
        head += crc32c(head).to_bytes(4, "big")
        for osd, volume, offset in places:
            if osd not in self.osds:
                continue
            try:
                with (self.osds[osd] / "volumes" / f"{volume.hex()}.vol").open("rb") as file:
                    file.seek(offset)
                    found = file.read(32 + size)
            except OSError:
                continue
            if found[:32] == head and len(found) == 32 + size and crc32c(found[32:]) == checksum:
                return found[32:]
        raise DamagedError(f"blob {blob.hex()} is whole in no volume")

    def _stripes(self, ref: list[Any]) -> Iterator[bytes]:
        _, codec, blob, size, stripe, places, *_ = ref
        k, m = codec_of(codec)
        shards = [
            ShardFile(self.osds[place[0]], blob, index, codec, shard_size(k, m, size, stripe))
            for index, place in enumerate(places)
            if place[0] in self.osds
        ]
        for number in range(-(-size // stripe)):
            length = min(stripe, size - number * stripe)
            start = number * fragment_size(k, m, stripe)
            yield self._stripe(shards, (k, m), Span(start, fragment_size(k, m, length), length))

    def _stripe(self, shards: list[ShardFile], code: tuple[int, int], at: Span) -> bytes:
        k, m = code
        found = [data for each in shards if (data := each.read(at.start, at.fragment)) is not None]
        if not found and k == 1:
            return self._by_blocks(shards, at.start, at.fragment)
        if len(found) < k:
            raise DamagedError(f"{len(found)} of {k} shards needed are whole")
        if m == 0:
            return found[0]
        from pyeclib.ec_iface import ECDriver  # noqa: PLC0415 (only for erasure-coded blobs)

        stripe: bytes = ECDriver(k=k, m=m, ec_type="isa_l_rs_vand").decode(found[:k])
        if len(stripe) != at.length:
            raise DamagedError("shards of different stripes")
        return stripe

    def _by_blocks(self, shards: list[ShardFile], start: int, size: int) -> bytes:
        pieces = []
        for at in range(start, start + size, BLOCK):
            length = min(BLOCK, start + size - at)
            data = next((d for each in shards if (d := each.read(at, length)) is not None), None)
            if data is None:
                raise DamagedError("a block is whole in no copy")
            pieces.append(data)
        return b"".join(pieces)


def data_key_of(fields: list[Any], ring: dict[str, bytes]) -> bytes:
    """Return the key of an encrypted object; none of a plain one. Raises DamagedError."""
    if len(fields) < 20 or not fields[19]:
        return b""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 (as needed)

    kind, key_id, wrapped = unpack(fields[19])
    if kind != "AES256":
        raise DamagedError("encrypted by a key that its client has")
    if key_id not in ring:
        raise DamagedError(f"encrypted by key {key_id}, which --keys has to bring")
    return AESGCM(ring[key_id]).decrypt(wrapped[:12], wrapped[12:], b"s3server data key")


def decrypted(stored: Iterator[bytes], data_key: bytes) -> Iterator[bytes]:
    """Yield the segments of an encrypted blob as they were. Raises DamagedError."""
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

    rest = bytearray(next(stored))
    cipher = AESGCM(hmac.digest(data_key, bytes(rest[:16]), "sha256"))
    del rest[:16]
    number, is_last = 0, False
    while rest or not is_last:
        while len(rest) < BLOCK + 16 and not is_last:
            piece = next(stored, None)
            rest, is_last = rest + (piece or b""), piece is None
        try:
            if rest:
                sealed = bytes(rest[: BLOCK + 16])
                yield cipher.decrypt(number.to_bytes(12, "big"), sealed, None)
        except InvalidTag:
            raise DamagedError(f"segment {number} does not decrypt") from None
        del rest[: BLOCK + 16]
        number += 1


def ring_of(path: Path | None) -> dict[str, bytes]:
    """Return the keys in a key ring by their ids."""
    keys = [bytes.fromhex(line) for line in path.read_text().split()] if path else []
    return {sha256(key).hexdigest()[:16]: key for key in keys}


def codec_of(name: str) -> tuple[int, int]:
    """Return k and m; m is 0 for copies."""
    if found := re.fullmatch(r"ec:(\d+)\+(\d+)", name):
        return int(found[1]), int(found[2])
    return 1, 0


def fragment_size(k: int, m: int, size: int) -> int:
    return 80 + -(-size // k) if m else size


def shard_size(k: int, m: int, size: int, stripe: int) -> int:
    whole, rest = divmod(size, stripe)
    return whole * fragment_size(k, m, stripe) + (fragment_size(k, m, rest) if rest else 0)


class ShardFile:
    """One shard file; what does not verify reads as None."""

    def __init__(self, osd: Path, blob: bytes, index: int, codec: str, size: int) -> None:
        self.path = osd / "shards" / f"{blob[-1]:02x}" / f"{blob.hex()}.{index}"
        self.size, self.padded = size, -(-size // PAGE) * PAGE
        blocks = -(-size // BLOCK)
        self.tables = -(-blocks // 1023)
        trailer = struct.pack(
            ">8sI16sIQI32s", b"S3SHARD1", 1, blob, index, size, BLOCK, codec.encode()
        ).ljust(PAGE - 4, b"\0")
        self.trailer = trailer + crc32c(trailer).to_bytes(4, "big")

    def read(self, start: int, size: int) -> bytes | None:
        """Return bytes, every block that they touch verified."""
        try:
            with self.path.open("rb") as file:
                file.seek(self.padded + self.tables * PAGE)
                return self._read(file, start, size) if file.read() == self.trailer else None
        except OSError:
            return None

    def _read(self, file: BinaryIO, start: int, size: int) -> bytes | None:
        first, last = start // BLOCK, -(-(start + size) // BLOCK)
        file.seek(first * BLOCK)
        data = file.read(min(last * BLOCK, self.padded) - first * BLOCK)
        for number in range(first, last):
            block = data[(number - first) * BLOCK : (number - first + 1) * BLOCK]
            if not block or crc32c(block) != self._checksum(file, number):
                return None
        return data[start - first * BLOCK : start - first * BLOCK + size]

    def _checksum(self, file: BinaryIO, block: int) -> int | None:
        number, place = divmod(block, 1023)
        file.seek(self.padded + number * PAGE)
        page = file.read(PAGE)
        seed = crc32c(f"{self.path.name}/{number}".encode())
        if len(page) != PAGE or crc32c(page[:-4], seed) != seal_of(page):
            return None
        return int.from_bytes(page[place * 4 : place * 4 + 4], "big")


# --- objects ---


def open_osds(paths: list[Path]) -> tuple[dict[int, Path], str]:
    """Return the OSDs by number, and their cluster."""
    osds: dict[int, Path] = {}
    clusters = set()
    for path in paths:
        identity = json.loads((path / "osd.json").read_text())
        osds[identity["osd"]] = path
        clusters.add(identity["cluster"])
    if len(clusters) != 1:
        raise DamagedError(f"OSDs of {len(clusters)} clusters")
    return osds, clusters.pop()


def objects(rows: dict[bytes, bytes], wanted: str) -> Iterator[tuple[str, str, list[Any]]]:
    """Yield bucket, key and record of the current versions that are asked for, in order."""
    bucket_wanted, _, prefix = wanted.partition("/")
    names = {}
    for key, value in rows.items():
        if key[:1] == b"B":
            names[record(value)[0]] = key[1:].decode()
    for key in sorted(rows):
        if key[:1] == b"O" and (bucket := names.get(key[1:9])):
            name = key[9:].decode()
            if bucket_wanted in ("", bucket) and name.startswith(prefix):
                yield bucket, name, record(rows[key])


def extract(store: Store, fields: list[Any], target: Path, ring: dict[str, bytes]) -> None:
    """Write an object to a file, whole or not at all. Raises DamagedError, OSError."""
    size, etag, blob = fields[1], fields[2], fields[5]
    data_key = data_key_of(fields, ring)
    target.parent.mkdir(parents=True, exist_ok=True)
    new = target.with_name(target.name[:200] + ".part")
    count, digest = 0, md5(usedforsecurity=False)
    try:
        with new.open("wb") as file:
            for piece in store.blob(blob, data_key) if size else ():
                count += file.write(piece)
                digest.update(piece)
        if count != size:
            raise DamagedError(f"{count} bytes instead of {size}")
        if re.fullmatch(r"[0-9a-f]{32}", etag) and digest.hexdigest() != etag:
            raise DamagedError("the bytes do not have the MD5 of the ETag")
        new.replace(target)
    finally:
        new.unlink(missing_ok=True)


def path_of(to: Path, bucket: str, key: str) -> Path:
    """Return where a key goes: its parts quoted, so that no name leads out of the directory."""
    parts = [quote(part, safe=" !#$&'()+,;=@[]~") for part in key.split("/")]
    return to.joinpath(bucket, *(part if part.strip(".") else f"%{part}" for part in parts))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("osds", nargs="+", type=Path, metavar="OSD", help="directory of an OSD")
    parser.add_argument("--only", default="", metavar="BUCKET[/PREFIX]", help="what to take")
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--list", action="store_true", help="print size, ETag, bucket and key")
    action.add_argument("--to", type=Path, metavar="DIRECTORY", help="extract into it")
    parser.add_argument("--keys", type=Path, metavar="FILE", help="key ring of encrypted objects")
    options = parser.parse_args(arguments)
    failed = 0
    try:
        osds, cluster = open_osds(options.osds)
        rows, sequence = load(osds, cluster)
        ring = ring_of(options.keys)
    except (DamagedError, OSError, ValueError) as error:
        print(f"extract: {error}", file=sys.stderr)
        return 1
    store = Store(osds, rows)
    for bucket, key, fields in objects(rows, options.only):
        if options.list:
            print(f"{fields[1]:>14} {fields[2]:<34} {bucket}/{key}")
            continue
        try:
            extract(store, fields, path_of(options.to, bucket, key), ring)
        except (DamagedError, OSError) as error:
            print(f"extract: {bucket}/{key}: {error}", file=sys.stderr)
            failed += 1
    print(f"extract: as of commit {sequence}, {failed} objects not whole", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
