"""Plants one bug in every Python process of a test: `PLANTED_BUG` names it, planted*.py hold it.

Python imports this module when it starts, where PYTHONPATH names this directory. The bug is in the
module as it is loaded; no file is changed.
"""

import importlib
import importlib.util
import os
import sys
from importlib.machinery import PathFinder, SourceFileLoader
from pathlib import Path


def _planted():  # type: ignore[no-untyped-def]
    sys.path.insert(0, str(Path(__file__).parents[3]))
    try:
        kinds = (("planted", "BUGS"), ("planted_attacks", "WEAKNESSES"))
        found = [
            getattr(importlib.import_module(f"tests.mutants.{module}"), name)
            for module, name in kinds
        ]
    finally:
        del sys.path[0]
    return {**found[0], **found[1]}[os.environ["PLANTED_BUG"]]


class _Loader(SourceFileLoader):
    def __init__(self, name, path, bug):  # type: ignore[no-untyped-def]
        super().__init__(name, path)
        self._bug = bug

    def get_code(self, fullname):  # type: ignore[no-untyped-def]
        source = self._bug.plant(Path(self.path).read_text())
        return compile(source, self.path, "exec")


class _Finder:
    def __init__(self, bug):  # type: ignore[no-untyped-def]
        self._bug = bug

    def find_spec(self, name, path=None, target=None):  # type: ignore[no-untyped-def]
        if name != self._bug.module:
            return None
        spec = PathFinder.find_spec(name, path, target)
        loader = _Loader(name, spec.origin, self._bug)
        return importlib.util.spec_from_file_location(name, spec.origin, loader=loader)


if "PLANTED_BUG" in os.environ:
    sys.meta_path.insert(0, _Finder(_planted()))
