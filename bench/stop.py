"""Stopping a run by Ctrl-C or SIGTERM.

Python drops an interrupt that arrives in a finaliser or a callback of a weak reference, of which
the load processes bring many; whoever waits in a loop asks here whether one had arrived.
"""

from __future__ import annotations

import signal
from typing import Any

_arrived = False


def heed() -> None:
    """From now on, raise KeyboardInterrupt at both signals, and remember them."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _on_signal)


def check() -> None:
    """Raise KeyboardInterrupt where a signal arrived."""
    if _arrived:
        raise KeyboardInterrupt


def _on_signal(_number: int, _frame: Any) -> None:
    global _arrived  # noqa: PLW0603 (signals belong to the process)
    _arrived = True
    raise KeyboardInterrupt
