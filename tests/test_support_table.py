"""The table of operations in docs/ says what the server does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_table_of_operations_is_not_stale() -> None:
    """`python tools/support_table.py > docs/s3-support.md` makes it anew."""
    printed = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "support_table.py")],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert printed == (ROOT / "docs" / "s3-support.md").read_text()
    assert "| PutObject | `s3:PutObject` |" in printed
