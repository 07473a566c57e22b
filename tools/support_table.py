"""Print docs/s3-support.md: which operations act, and which answer 501.

    python tools/support_table.py > docs/s3-support.md

Made from the catalogue and the handlers; a test fails where the file in docs/ is another one.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from s3server.catalogue import ACCOUNT_ROWS, S3_ROWS, Row, derived_row
from s3server.operation import load_handlers
from s3server.wire.service_model import VERSIONS, load_model

TITLES = {"iam": "IAM", "sts": "STS", "sns": "SNS"}


def page() -> str:
    """Return the whole page."""
    handlers = load_handlers()
    own = [row for row in S3_ROWS if row.alias_of is None]
    acting = sum(row.name in handlers for row in own)
    by_name = {row.name: row for row in S3_ROWS}
    twins = [row for row in S3_ROWS if row.alias_of in handlers]
    # A twin of another permission is another operation: of buckets that there are none of here.
    named = [row for row in twins if row.action == by_name[row.alias_of or ""].action]
    others = [row for row in twins if row not in named]
    lines = [
        "# Operations",
        "",
        "Made by `tools/support_table.py`; not to be edited.",
        "",
        *_text(
            f"{acting + len(named)} of the {len(S3_ROWS)} operations of S3 act, {len(named)} of "
            "them by newer ones. What does not act answers 501 NotImplemented with the operation's "
            "name, and so does an option of an acting operation that does not act: nothing is "
            "stored that is not acted on."
        ),
        "",
        *_section("S3", own, handlers),
        *_text(
            "Deprecated operations have the method, URL and documents of a newer one, which acts "
            "for them: "
            + ", ".join(f"{row.name} ({row.alias_of})" for row in named)
            + ". Not so, and not counted: "
            + ", ".join(f"{row.name} ({row.alias_of} answers)" for row in others)
            + "."
        ),
        "",
        *_section("S3 Control, for accounts", ACCOUNT_ROWS, handlers),
    ]
    for service in VERSIONS:
        if service != "s3":
            rows = [derived_row(service, name) for name in load_model(service).operations]
            lines += _section(TITLES[service], rows, handlers)
    return "\n".join(lines).rstrip() + "\n"


def _section(title: str, rows: Sequence[Row], handlers: Iterable[str]) -> list[str]:
    acting = sorted((row for row in rows if row.name in handlers), key=lambda row: row.name)
    others = sorted(row.name for row in rows if row not in acting)
    lines = [f"## {title}: {len(acting)} of {len(rows)}", ""]
    if acting:
        lines += ["| Acts | Permission |", "|---|---|"]
        lines += [f"| {row.name} | `{row.action}` |" for row in acting]
        lines.append("")
    if others:
        lines += [*_text("501: " + ", ".join(others) + "."), ""]
    return lines


def _text(text: str) -> list[str]:
    return textwrap.wrap(text, 98, break_long_words=False)


if __name__ == "__main__":
    print(page(), end="")
