"""An interrupt stops a run wherever it arrives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]

SCRIPT = """
import os, signal
from bench import stop

class Last:
    def __del__(self):
        os.kill(os.getpid(), signal.{name})
        for _ in range(1_000_000):
            pass

stop.check()
stop.heed()
Last()
print("dropped", flush=True)
try:
    stop.check()
except KeyboardInterrupt:
    print("stopped")
"""


def test_interrupt_that_python_dropped_is_raised_later() -> None:
    for name in ("SIGINT", "SIGTERM"):
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT.format(name=name)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        assert "dropped\nstopped\n" == done.stdout
        assert "Exception ignored" in done.stderr
