"""Threads that wait for disks let the event loop go first, which holds the GIL that they need.

The kernel puts a thread whose disk has answered in the place of one that runs. Here that is the
event loop as often as not, and as the thread has to wait for its GIL both lose their turn. What
was measured: docs/performance.md, "A PUT of 4 KiB".
"""

from __future__ import annotations

import contextlib
import os


def give_way() -> None:
    """Never take a processor from a thread that runs, from now on, in this thread (sched(7))."""
    with contextlib.suppress(OSError):  # a sandbox has no such policy: slower, no more
        if os.sched_getscheduler(0) == os.SCHED_OTHER:  # no policy that somebody chose
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def let_others_go() -> None:
    """Let threads that wait for a processor, or for the GIL, go first once (sched_yield(2))."""
    os.sched_yield()
