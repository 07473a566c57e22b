"""The documentation as a site: `make docs` makes build/docs of the Markdown that GitHub shows.

The README.md of a folder below docs/ is its contents: the links in its lists are the tree of pages.
A page that none of them names, a link or an anchor that leads nowhere is an error. Decisions are
taken as they come, by number.
"""

import re
from pathlib import Path

from sphinx.application import Sphinx

project = "s3server"
project_copyright = "the authors of s3server; Apache-2.0"
extensions = ["myst_parser"]
root_doc = "docs/README"
include_patterns = ["*.md", "docs/**.md", "bench/README.md"]
exclude_patterns = [".*", "build", "dist", "s3data", "s3server", "tests", "placement"]
nitpicky = True
myst_heading_anchors = 3
html_theme = "furo"
html_title = "s3server"
html_extra_path = ["index.html"]
html_copy_source = False

ENTRY = re.compile(r"^- \[[^\]]+\]\(([^):#]+)\.md\)", re.MULTILINE)


def add_tree(app: Sphinx, page: str, source: list[str]) -> None:
    """Give the README of a folder the toctree that its lists mean, hidden as they are there."""
    path = Path(page)
    if path.name == "README" and "docs" in path.parts:
        entries = ENTRY.findall(source[0]) or [":glob:", "", "[0-9]*"]
        source[0] += "\n".join(["\n```{toctree}", ":hidden:", *entries, "```\n"])


def setup(app: Sphinx) -> None:
    """Tell Sphinx what this file adds."""
    app.connect("source-read", add_tree)
