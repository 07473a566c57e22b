"""What a server does before its first process starts."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import resource
from s3server.process.serve import allow_many_files
resource.setrlimit(resource.RLIMIT_NOFILE, (200, 300))
allow_many_files()
print(resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def test_all_descriptors_that_the_system_allows_may_be_used() -> None:
    """A download holds one per shard; the usual soft limit is 1024."""
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "(300, 300)\n" == done.stdout
