"""Why the bytes of an object lie where they lie."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from placement.choose import Chooser
from placement.cluster_map import Map
from placement.groups import pg_of
from placement.hashing import hash2
from s3server.cluster.blob_table import shard_bytes
from s3server.cluster.live import Cluster
from s3server.cluster.map_record import PoolEntry
from s3server.core.blobs import Blobs
from s3server.core.records import BlobRecord
from s3server.model import ABSENT, DataRef


@dataclass(frozen=True, slots=True)
class ExplainedShard:
    """One shard: where it is, how it is, and why it is there."""

    shard: int
    osd: int  # ABSENT: not written
    host: str
    rack: str
    datacenter: str
    path: str
    size: int  # bytes
    state: str  # "ok", "missing", "corrupt", by reading all of it
    today: int  # OSD that the map in force gives; ABSENT where the rule finds none
    why: str


@dataclass(frozen=True, slots=True)
class ExplainedBlob:
    """One blob of an object, which has several after a multipart upload."""

    blob: str
    part: int  # S3 part number; 0 of an object of one piece
    pool: str
    codec: str
    size: int
    group: int  # placement group
    rule: str
    epoch: int
    shards: list[ExplainedShard] = field(default_factory=list)


async def explain(
    record: BlobRecord, blobs: Blobs, cluster: Cluster, paths: Mapping[int, str]
) -> AsyncIterator[ExplainedBlob]:
    """Yield all blobs of an object, having read and verified every shard of each."""
    if record.ref is not None:
        yield await _explain(record.ref, 0, cluster, paths)
    for part in record.parts:
        found = await blobs.load(part.blob)
        if found is not None and found.ref is not None:
            yield await _explain(found.ref, part.number, cluster, paths)


async def _explain(
    ref: DataRef, part: int, cluster: Cluster, paths: Mapping[int, str]
) -> ExplainedBlob:
    health = await cluster.pools[ref.pool].check(ref)
    pool = next(each for each in cluster.map.pools if each.name == ref.pool)
    tree = cluster.map.placed_by()
    group = pg_of(ref.blob, pool.pg_count)
    today, reasons = _drawn(tree, pool, group)
    rule = f"{pool.codec}, across {pool.across}"
    found = ExplainedBlob(
        ref.blob.hex(),
        part,
        ref.pool,
        ref.codec,
        ref.size,
        group,
        rule + (f", class {pool.device_class}" if pool.device_class else ""),
        cluster.map.epoch,
    )
    for index, place in enumerate(ref.shards):
        above = {b.type: b.name for b in tree.path(place.osd)} if place.osd in tree.device else {}
        wanted = today.get(index, ABSENT)
        found.shards.append(
            ExplainedShard(
                index,
                place.osd,
                above.get("host", ""),
                above.get("rack", ""),
                above.get("datacenter", ""),
                paths.get(place.osd, ""),
                shard_bytes(ref),
                health.shards[index],
                wanted,
                _why(ref, place.osd, wanted, reasons),
            )
        )
    return found


def _drawn(tree: Map, pool: PoolEntry, group: int) -> tuple[dict[int, int], dict[int, str]]:
    """Return the OSD of each position, and for each OSD how it was drawn."""
    draws = Chooser(tree, pool.rule).trace(hash2(group, pool.id))
    today: dict[int, int] = {}
    reasons: dict[int, str] = {}
    refused: dict[int, list[str]] = {}
    for draw in draws:
        name = _name(tree, draw.domain)
        if draw.device is None:
            refused.setdefault(draw.position, []).append(name)
            continue
        position = len(today) if pool.needed == 1 else draw.position  # copies close ranks
        today[position] = draw.device
        before = refused.get(draw.position, [])
        text = f"draw {draw.r + 1} for position {draw.position} gave {name}"
        if draw.domain != draw.device:
            text += f", in it osd.{draw.device}"
        if before:
            text += f"; before it {', '.join(before)}: in use already, or out"
        reasons[draw.device] = text
    return today, reasons


def _name(tree: Map, item: int | None) -> str:
    if item is None:
        return "nothing"
    return f"osd.{item}" if item >= 0 else tree.bucket[item].name


def _why(ref: DataRef, osd: int, wanted: int, reasons: Mapping[int, str]) -> str:
    if osd == ABSENT:
        return "not written, as its OSD failed: to be repaired"
    # Copies are alike: each of the OSDs drawn may hold any of them.
    is_right = osd == wanted if ref.codec.startswith("ec:") else osd in reasons
    if is_right:
        return reasons[osd]
    where = "no OSD" if wanted == ABSENT else f"osd.{wanted}"
    return f"written by another map, or round an OSD that was down; today's map gives {where}"
