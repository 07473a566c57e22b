"""Threads for calls that may never return: those that are stuck are given up and replaced."""

from __future__ import annotations

import errno
import queue
import threading
from collections.abc import Callable, Collection
from concurrent.futures import Executor, Future, InvalidStateError
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from s3server.yielding import give_way

T = TypeVar("T")


class HungError(OSError):
    """A call was given up, as the OSD did not answer in time."""

    def __init__(self) -> None:
        super().__init__(errno.ETIMEDOUT, "no answer in time")


class _Job(NamedTuple):
    future: Future[Any]
    call: Callable[[], Any]


class Threads(Executor):
    """Up to `count` threads that take jobs in turn, not counting those that were given up."""

    def __init__(self, count: int, *, name: str) -> None:
        self._count, self._name = count, name
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()
        self._running: dict[threading.Thread, _Job] = {}
        self._waiting = 0  # jobs that no thread has taken yet
        self._is_shut_down = False

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Have a job run; its future fails with HungError where its thread is given up.

        Raises RuntimeError after a shutdown: nobody would ever run it.
        """
        future: Future[T] = Future()
        with self._lock:
            if self._is_shut_down:
                raise RuntimeError(f"the threads '{self._name}' were shut down")
            self._waiting += 1
            self._jobs.put(_Job(future, lambda: fn(*args, **kwargs)))
            if self._waiting > len(self._threads) - len(self._running):
                self._start()
        return future

    def give_up(self, stuck: Collection[int]) -> None:
        """Replace those of these threads (by their idents) that are ours."""
        with self._lock:
            given_up = [thread for thread in self._running if thread.ident in stuck]
            jobs = [self._running.pop(thread) for thread in given_up]
            self._threads.difference_update(given_up)
            for _ in given_up:
                self._start()
        for job in jobs:
            with suppress(InvalidStateError):
                job.future.set_exception(HungError())

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let the threads finish what there is; never waits for one that was given up."""
        with self._lock:
            self._is_shut_down = True
            threads = list(self._threads)
        for _ in threads:
            self._jobs.put(None)
        for thread in threads if wait else ():
            while thread.is_alive() and thread in self._threads:
                thread.join(1.0)

    def _start(self) -> None:
        if len(self._threads) < self._count:
            thread = threading.Thread(target=self._serve, name=self._name, daemon=True)
            self._threads.add(thread)
            thread.start()

    def _serve(self) -> None:
        give_way()
        me = threading.current_thread()
        while (job := self._jobs.get()) is not None:
            with self._lock:
                self._waiting -= 1
                if not job.future.set_running_or_notify_cancel():
                    continue
                self._running[me] = job
            result, error = None, None
            try:
                result = job.call()
            except BaseException as raised:
                error = raised
            with self._lock:
                is_given_up = self._running.pop(me, None) is None
            if is_given_up:
                return
            if error is not None:
                job.future.set_exception(error)
            else:
                job.future.set_result(result)
            del job, result, error  # what they hold must not live until the next job
