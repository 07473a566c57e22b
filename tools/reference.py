"""Write docs/reference/: settings, commands, errors and metrics, as the code has them.

    python tools/reference.py

A test fails where the files in docs/ are others.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from typer.cli import get_docs_for_click
from typer.main import get_command

import s3server
from s3server import errors
from s3server.admin.cli import cli
from s3server.config import Config
from s3server.metrics.families import FAMILIES
from s3server.settings import section_models

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
MADE = "Made by `tools/reference.py`; not to be edited."


def configuration() -> str:
    """Return the page about the settings file."""
    lines = [
        "# Settings",
        "",
        MADE,
        "",
        "Above the settings file and `conf.d/*.toml` beside it stand systemd credentials, then the",
        "environment (`S3SERVER_SERVER__REGION`), then options of the command line.",
        "`s3server config show --origin` prints every value and what set it.",
        "",
    ]
    models = section_models()
    for name, field in Config.model_fields.items():
        brackets = ("[[", "]]") if _is_array(field) else ("[", "]")
        lines += [f"## {brackets[0]}{name}{brackets[1]}", "", *_about(models[name]), ""]
        lines += ["| setting | default | meaning |", "|---|---|---|"]
        lines += _settings(models[name])
        lines.append("")
    return "\n".join(lines)


def _is_array(field: FieldInfo) -> bool:
    return str(field.annotation).startswith("tuple")


def _about(model: type[BaseModel]) -> list[str]:
    return [line.strip() for line in (model.__doc__ or "").strip().splitlines()]


def _settings(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield f"| `{name}` | {_default(field)} | {field.description} |"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "has to be set"
    value: Any = field.get_default(call_default_factory=True, validated_data={})
    if value is None or value is PydanticUndefined or value in ("", ()):
        return ""
    if isinstance(value, BaseModel):
        return "see below"
    return f"`{json.dumps(value, default=str)}`"


def commands() -> str:
    """Return the page about the command line."""
    command = get_command(cli)
    text = get_docs_for_click(obj=command, ctx=typer.Context(command), name="s3server")
    return text.replace("# `s3server`\n", f"# `s3server`\n\n{MADE}\n", 1).rstrip() + "\n"


def refusals() -> str:
    """Return the page about error codes."""
    for module in pkgutil.walk_packages(s3server.__path__, "s3server."):
        if not module.name.endswith("__main__"):  # an error may stand beside its feature
            importlib.import_module(module.name)
    shown = {(error.code, error.status, error.message) for error in _subclasses(errors.S3Error)}
    lines = [
        "# Errors",
        "",
        MADE,
        "",
        "Codes, statuses and texts are those of AWS; a text may say more of what was wrong. The",
        "answer has a `RequestId`, which is in the server's log.",
        "",
        "| code | status | text |",
        "|---|---|---|",
    ]
    lines += [f"| {code} | {status} | {message} |" for code, status, message in sorted(shown)]
    return "\n".join(lines) + "\n"


def _subclasses(base: type[errors.S3Error]) -> Iterator[type[errors.S3Error]]:
    for error in base.__subclasses__():
        yield error
        yield from _subclasses(error)


def metrics() -> str:
    """Return the page about what Prometheus is told."""
    lines = [
        "# Metrics",
        "",
        MADE,
        "",
        "`GET /-/metrics`, at any worker: all tell the same. For this machine alone, or for who",
        "sends `[server] metrics_token` as bearer token. Buckets and users are told of where",
        "`[server] metrics_largest` says of how many.",
        "",
        "| metric | type | labels | meaning |",
        "|---|---|---|---|",
    ]
    for each in FAMILIES:
        labels = ", ".join(f"`{label}`" for label in each.labels)
        lines.append(f"| `{each.shown}` | {each.kind} | {labels} | {each.text} |")
    return "\n".join(lines) + "\n"


def pages() -> dict[str, str]:
    """Return every page by the name of its file."""
    return {
        "configuration.md": configuration(),
        "commands.md": commands(),
        "errors.md": refusals(),
        "metrics.md": metrics(),
    }


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
