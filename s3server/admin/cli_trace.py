"""The command that shows requests as they are answered."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from s3server.admin.output import ConfigFile, Directory, Json, settings_file

if TYPE_CHECKING:
    from s3server.config import Config
    from s3server.observer import Answered

DATAGRAM_BYTES = 1 << 16

Status = Annotated[
    str | None, typer.Option(metavar="404|4xx|error", help="Only answers with this status.")
]


def trace(
    *,
    bucket: Annotated[str | None, typer.Option(help="Only requests to this bucket.")] = None,
    operation: Annotated[
        str | None, typer.Option(help="Only this operation, GetObject for instance.")
    ] = None,
    method: Annotated[str | None, typer.Option(help="Only this method of HTTP.")] = None,
    status: Status = None,
    user: Annotated[
        str | None, typer.Option(help="Only requests of this user's name, ARN or access key.")
    ] = None,
    slower_than: Annotated[
        float, typer.Option(metavar="MS", help="Only what took so many milliseconds or more.")
    ] = 0.0,
    count: Annotated[int, typer.Option(min=0, help="End after so many; 0: never.")] = 0,
    config: ConfigFile = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Show requests as they are answered, of all workers, until interrupted.

    Nobody waits for this command: where it is too slow, requests are left out.
    """
    from s3server.settings import load  # noqa: PLC0415 (slow to load)

    is_wanted = _status(status)
    _check_operation(operation)
    shown = 0
    for answered in _heard(load(settings_file(config, directory))):
        if not (
            bucket in (None, answered.bucket)
            and operation in (None, answered.operation)
            and method in (None, answered.method)
            and user in (None, answered.user, answered.user.rpartition("/")[2], answered.access_key)
            and is_wanted(str(answered.status))
            and answered.total_ms >= slower_than
        ):
            continue
        print(_as_json(answered) if as_json else _as_text(answered), flush=True)
        shown += 1
        if shown == count:
            return


def _status(text: str | None) -> Callable[[str], re.Match[str] | None]:
    """Return what tells whether a status is wanted."""
    if text is None:
        return re.compile(r"\d+").fullmatch
    if not re.fullmatch(r"[1-5](\d\d|xx)|error", text):
        raise typer.BadParameter("--status takes 404, 4xx or error")
    pattern = "[45]xx" if text == "error" else text
    return re.compile(pattern.replace("x", r"\d")).fullmatch


def _check_operation(name: str | None) -> None:
    """Raise BadParameter for what no request can be, with what may have been meant."""
    from difflib import get_close_matches  # noqa: PLC0415

    from s3server.catalogue import ACCOUNT_ROWS, S3_ROWS  # noqa: PLC0415
    from s3server.observer import UNREAD  # noqa: PLC0415
    from s3server.wire.service_model import VERSIONS, load_model  # noqa: PLC0415

    if name is None:
        return
    known = {UNREAD, *(row.name for row in (*S3_ROWS, *ACCOUNT_ROWS) if row.alias_of is None)}
    known |= {each for service in VERSIONS for each in load_model(service).operations}
    if name in known:
        return
    near = " or ".join(get_close_matches(name, known))
    raise typer.BadParameter(f"--operation {name} is none" + (f": {near}?" if near else ""))


def _heard(config: Config) -> Iterator[Answered]:
    import msgspec  # noqa: PLC0415

    from s3server.admin.status import server_of  # noqa: PLC0415
    from s3server.counters import run_directory  # noqa: PLC0415
    from s3server.listeners import listening  # noqa: PLC0415
    from s3server.meta.owner import act_as_owner  # noqa: PLC0415
    from s3server.observer import Answered  # noqa: PLC0415

    act_as_owner(config.storage.meta_dir)
    decode = msgspec.json.Decoder(Answered).decode
    with listening(run_directory(config.storage.meta_dir)) as receiving:
        runs = server_of(config.storage.meta_dir) is not None
        then = "the first requests come within a second" if runs else "but no server runs"
        typer.echo(f"listening; {then}", err=True)
        while True:
            yield decode(receiving.recv(DATAGRAM_BYTES))


def _as_json(answered: Answered) -> str:
    from msgspec.structs import asdict  # noqa: PLC0415

    return json.dumps(asdict(answered))


def _as_text(answered: Answered) -> str:
    from s3server.logs import escaped  # noqa: PLC0415

    at = datetime.fromtimestamp(answered.at_ms / 1000, UTC).strftime("%H:%M:%S.%f")[:-3]
    what = f"{answered.bucket}/{answered.key}" if answered.bucket else answered.path
    sizes = f"{answered.received}>{answered.sent}"
    who = answered.user.rpartition("/")[2] or "-"
    text = (
        f"{at} {answered.status} {answered.operation:<16} {answered.total_ms:9.2f} ms "
        f"{sizes:>16} {answered.client or '-'} {who} {answered.request_id} {what}"
    )
    if answered.code or answered.reason:
        text += f"  {answered.code}: {answered.reason}"
    return escaped(text)
