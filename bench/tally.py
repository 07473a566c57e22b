"""What a load process counts while its window is open."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from bench.latency import decoded, encoded, histogram, record
from bench.workload import Request


@dataclass(slots=True)
class Tally:
    """What was measured between `start_ns` and `stop_ns` on the monotonic clock.

    A request counts by the share of it that lies inside, so that a few large objects are measured
    as fairly as many small ones. Its latency counts, whole, if it began (or, in an open loop, was
    due) inside: what takes longer than the window is not left out.
    """

    start_ns: int
    stop_ns: int
    completed: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    size: float = 0.0  # bytes of object data
    latency: dict[str, Any] = field(default_factory=lambda: defaultdict(histogram))
    errors: Counter[str] = field(default_factory=Counter)
    sample: str = ""  # the beginning of the first unexpected answer
    verified: int = 0
    unsent: int = 0  # were due in an open loop, and found no connection free until the end
    last_ns: int = 0  # when the last request ended

    def add(self, request: Request, due: int, sent: int, now: int) -> None:
        """Count a request that ended well; in a closed loop it is due when it is sent."""
        self.last_ns = now
        if self.start_ns <= due <= self.stop_ns:
            record(self.latency[request.kind], now - due)
        if sent >= self.start_ns and now <= self.stop_ns:
            self.completed[request.kind] += 1
            self.size += request.size
            return
        inside = min(now, self.stop_ns) - max(sent, self.start_ns)
        if inside > 0:
            share = inside / (now - sent)
            self.completed[request.kind] += share
            self.size += request.size * share

    def fail(self, name: str, sample: str, now: int) -> None:
        """Count an error inside the window; the first one leaves its sample."""
        if now >= self.start_ns:
            self.errors[name] += 1
        self.sample = self.sample or "".join(one if one.isprintable() else " " for one in sample)

    def merge(self, other: Tally) -> None:
        """Add what another process measured in the same window."""
        for kind, count in other.completed.items():
            self.completed[kind] += count
        for kind, latencies in other.latency.items():
            self.latency[kind].add(latencies)
        self.size += other.size
        self.errors.update(other.errors)
        self.sample = self.sample or other.sample
        self.verified += other.verified
        self.unsent += other.unsent
        self.last_ns = max(self.last_ns, other.last_ns)

    def __getstate__(self) -> dict[str, Any]:
        """Histograms travel between processes as text."""
        state = {name: getattr(self, name) for name in self.__slots__}
        return {
            **state,
            "completed": dict(self.completed),
            "latency": {kind: encoded(one) for kind, one in self.latency.items()},
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)
        self.completed = defaultdict(float, self.completed)
        read = {kind: decoded(text) for kind, text in state["latency"].items()}
        self.latency = defaultdict(histogram, read)
