"""Buckets of our own, filled, loaded, and removed again whatever happens meanwhile."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from types import TracebackType
from typing import Any, Self
from xml.sax.saxutils import escape

import uvloop

from bench import stop
from bench.client import drive
from bench.endpoint import Api, Endpoint
from bench.errors import BenchError
from bench.response import explained
from bench.settings import Settings
from bench.signing import Account
from bench.tally import Tally
from bench.worker import Measured, renderer, work
from bench.workload import Request

_HOUR_NS = 3600 * 10**9
_LOADERS = 32
_LOOK_S = 0.2
_SWEEPS = 50

Watch = Callable[[str, float, int, int], None]  # what is done, which part of it, requests, errors


def unwatched(_what: str, _share: float, _done: int, _errors: int) -> None:
    """Nobody looks."""


class Session:
    """A context in which buckets exist; `location` is their LocationConstraint (`region:pool`).

    It refuses a bucket that is there already. At the end each bucket that it made is removed with
    all that is in it. Raises BenchError and OSError.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        accounts: tuple[Account, ...],
        buckets: tuple[str, ...],
        *,
        location: str = "",
        watch: Watch = unwatched,
    ) -> None:
        self._endpoint = endpoint
        self._buckets = buckets
        self._location = location
        self._watch = watch
        self._apis = [Api(endpoint, account) for account in accounts]
        self._made: list[tuple[Api, str]] = []
        self._filled: Settings | None = None

    def __enter__(self) -> Self:
        try:
            for number, (api, bucket) in enumerate(zip(cycle(self._apis), self._buckets)):
                self._watch("making buckets", number / len(self._buckets), number, 0)
                self._make(api, bucket)
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._remove()

    def load(self, run: Settings) -> list[Measured]:
        """Store what the operation needs and is not there yet, and measure."""
        needed = run.workload.op != "put"
        if needed and (self._filled is None or not _same_objects(self._filled, run)):
            self._fill(run)
            self._filled = run
        if run.workload.op == "delete":
            self._filled = None
        measured = _load(run, self._watch)
        if not needed:  # uploads of the next load are to be of new keys, too
            for api, bucket in self._made:
                api.empty(bucket, run.workload.prefix)
        return measured

    def _make(self, api: Api, bucket: str) -> None:
        status, answer = api.call("HEAD", f"/{bucket}")
        if status == 403:
            raise BenchError(f"HEAD of bucket {bucket} answered 403: are the keys of this server?")
        if status != 404:  # what is there already is not ours to fill and empty
            raise BenchError(
                f"HEAD of bucket {bucket} answered {status}, not 404: {explained(answer)}"
            )
        body = ""
        if self._location:
            space = "http://s3.amazonaws.com/doc/2006-03-01/"
            place = f"<LocationConstraint>{escape(self._location)}</LocationConstraint>"
            body = f'<CreateBucketConfiguration xmlns="{space}">{place}</CreateBucketConfiguration>'
        self._made.append((api, bucket))
        try:
            api.request("PUT", f"/{bucket}", body=body.encode())
        except BenchError:  # refused: if there is one of this name by now, it is not ours
            self._made.pop()
            raise

    def _fill(self, run: Settings) -> None:
        """Send every upload once, outside any measurement."""
        render = renderer(run)
        objects = run.workload.objects
        loaders = min(_LOADERS, objects)
        done = 0

        def counted(requests: Iterator[Request]) -> Iterator[Request]:
            nonlocal done
            for request in requests:
                if done % 100 == 0:
                    self._watch("storing objects", done / objects, done, 0)
                done += 1
                yield request

        plans = [counted(render.fill(range(first, objects, loaders))) for first in range(loaders)]
        now = time.perf_counter_ns()
        tally = Tally(now, now + _HOUR_NS)
        endpoint = self._endpoint
        uvloop.run(drive(endpoint.host, endpoint.port, plans, tally, tls=endpoint.tls()))
        if tally.errors:
            raise BenchError(f"storing failed: {dict(tally.errors)} {tally.sample}")

    def _remove(self) -> None:
        count, removed = len(self._made), 0
        try:
            for api, bucket in self._made:
                self._watch("cleaning up", removed / count, removed, 0)
                remove(api, bucket)
                removed += 1
        except BaseException as error:
            left = ", ".join(bucket for _, bucket in self._made[removed:][:3])
            raise BenchError(
                f"{count - removed} buckets are left, {left} ...: {error!r}"
            ) from error
        finally:
            for api in self._apis:
                api.close()


def remove(api: Api, bucket: str) -> None:
    """Remove a bucket with all that is in it, if it is there. Raises BenchError if it stays.

    Uploads under way when their process was ended may land after the bucket was emptied: once more.
    """
    api.close()  # a connection that was cut in the middle of a request is made anew
    if api.call("HEAD", f"/{bucket}")[0] == 404:
        return
    for _ in range(_SWEEPS):
        api.empty(bucket)
        status, answer = api.call("DELETE", f"/{bucket}")
        if status < 300:
            return
        if status != 409:
            raise BenchError(f"DELETE of bucket {bucket} answered {status}: {explained(answer)}")
        time.sleep(_LOOK_S)
    raise BenchError(f"bucket {bucket} fills again whenever it was emptied")


def _same_objects(one: Settings, other: Settings) -> bool:
    same = {"op": "", "connections": 0, "verify": "none"}
    parts = [
        {
            name: same.get(name, getattr(run.workload, name))
            for name in run.workload.__struct_fields__
        }
        for run in (one, other)
    ]
    return parts[0] == parts[1]


def _load(run: Settings, watch: Watch) -> list[Measured]:
    stop.check()
    context = multiprocessing.get_context("spawn")
    counts = context.RawArray("Q", 2 * run.processes)
    started = []
    try:
        for process in range(run.processes):
            ours, theirs = context.Pipe()
            child = context.Process(target=work, args=(run, process, theirs, counts))
            child.start()
            theirs.close()
            started.append((child, ours))
        pipes = [pipe for _, pipe in started]
        for pipe in pipes:
            pipe.recv()
        begin_ns = time.perf_counter_ns() + 50_000_000
        for pipe in pipes:
            pipe.send(begin_ns)
        _look(run, begin_ns, pipes, counts, watch)
        return [pipe.recv() for pipe in pipes]
    except EOFError as error:
        raise BenchError("a load process ended early") from error
    except BaseException:
        for child, _ in started:
            child.terminate()
        raise
    finally:
        for child, _ in started:
            child.join(10)
            child.kill()


def _look(run: Settings, begin_ns: int, pipes: list[Any], counts: Any, watch: Watch) -> None:
    """Tell how far the load is until its processes have something to say."""
    what = f"{run.workload.op} x {run.workload.connections}"
    whole_s = run.warmup_s + run.duration_s
    while not all(pipe.poll(_LOOK_S / len(pipes)) for pipe in pipes):
        stop.check()
        share = (time.perf_counter_ns() - begin_ns) / 1e9 / whole_s
        done = sum(counts[0::2])
        watch(what, min(max(share, 0.0), 1.0), done, sum(counts[1::2]))
