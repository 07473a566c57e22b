"""Commands for users and their access keys; they work whether the server runs or not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from s3server.admin.output import (
    ConfigFile,
    Directory,
    Json,
    SecretFile,
    emit,
    read_secret,
    settings_file,
    table,
)

if TYPE_CHECKING:
    from s3server.core.records import AccessKeyRecord, UserRecord
    from s3server.core.users import Users

T = TypeVar("T")

users = typer.Typer(no_args_is_help=True)
keys = typer.Typer(no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the user.")]

USER_COLUMNS = ("name", "email", "display_name", "created", "id")
KEY_COLUMNS = ("access_key", "active", "created", "description")


@users.command("create")
def create_user(
    name: Name,
    *,
    email: Annotated[str, typer.Option(help="E-mail address; need not be unique.")] = "",
    display_name: Annotated[str, typer.Option(help="Name for people.")] = "",
    config: ConfigFile = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Create a user. A name is free again as soon as its user was deleted."""

    async def work(store: Users) -> UserRecord:
        return await store.create_user(name, email=email, display_name=display_name)

    row = _user_row(_run(work, config, directory))
    emit(row, as_json=as_json, text=table([row], USER_COLUMNS))


@users.command("list")
def list_users(
    *, config: ConfigFile = None, directory: Directory = None, as_json: Json = False
) -> None:
    """List all users."""

    async def work(store: Users) -> list[UserRecord]:
        return await store.list_users()

    rows = [_user_row(user) for user in _run(work, config, directory)]
    emit(rows, as_json=as_json, text=table(rows, USER_COLUMNS))


@users.command("show")
def show_user(
    name: Name, *, config: ConfigFile = None, directory: Directory = None, as_json: Json = False
) -> None:
    """Show a user and their access keys."""

    async def work(store: Users) -> tuple[UserRecord, list[AccessKeyRecord]]:
        return await store.get_user(name), await store.list_keys(name)

    user, found = _run(work, config, directory)
    row, key_rows = _user_row(user), [_key_row(key) for key in found]
    text = table([row], USER_COLUMNS) + "\n\n" + table(key_rows, KEY_COLUMNS)
    emit({**row, "keys": key_rows}, as_json=as_json, text=text)


@users.command("delete")
def delete_user(
    name: Name, *, config: ConfigFile = None, directory: Directory = None, as_json: Json = False
) -> None:
    """Delete a user and their access keys; buckets stay."""

    async def work(store: Users) -> None:
        await store.delete_user(name)

    _run(work, config, directory)
    emit({"deleted": name}, as_json=as_json, text=f"deleted {name}")


@keys.command("create")
def create_key(
    name: Name,
    *,
    description: Annotated[str, typer.Option(help="What the key is for.")] = "",
    access_key: Annotated[str | None, typer.Option(help="Id of a key to bring along.")] = None,
    secret_key_file: SecretFile = None,
    config: ConfigFile = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Create an access key; its secret is shown now and never again."""
    if (access_key is None) != (secret_key_file is None):
        raise typer.BadParameter("--access-key and --secret-key-file belong together")
    secret = read_secret(secret_key_file) if secret_key_file is not None else None

    async def work(store: Users) -> tuple[AccessKeyRecord, str]:
        return await store.create_key(
            name, description=description, access_key_id=access_key, secret=secret
        )

    key, shown = _run(work, config, directory)
    text = f"access key   {key.id}\nsecret key   {shown}"
    emit({**_key_row(key), "secret_key": shown}, as_json=as_json, text=text)


@keys.command("list")
def list_keys(
    name: Name, *, config: ConfigFile = None, directory: Directory = None, as_json: Json = False
) -> None:
    """List the access keys of a user."""

    async def work(store: Users) -> list[AccessKeyRecord]:
        return await store.list_keys(name)

    rows = [_key_row(key) for key in _run(work, config, directory)]
    emit(rows, as_json=as_json, text=table(rows, KEY_COLUMNS))


@keys.command("delete")
def delete_key(
    access_key: Annotated[str, typer.Argument(metavar="ACCESS_KEY", help="Id of the key.")],
    *,
    config: ConfigFile = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Delete an access key."""

    async def work(store: Users) -> None:
        await store.delete_key(access_key)

    _run(work, config, directory)
    emit({"deleted": access_key}, as_json=as_json, text=f"deleted {access_key}")


def _run(work: Callable[[Users], Awaitable[T]], config: Path | None, directory: Path | None) -> T:
    """Do `work` on the users of the store that the options name."""
    from s3server import logs  # noqa: PLC0415 (slow to load)
    from s3server.maintenance import initialise, open_users  # noqa: PLC0415
    from s3server.settings import load  # noqa: PLC0415

    logs.configure()
    loaded = load(settings_file(config, directory))

    async def open_and_work() -> T:
        await initialise(loaded)
        async with open_users(loaded) as store:
            return await work(store)

    return asyncio.run(open_and_work())


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")


def _user_row(user: UserRecord) -> dict[str, Any]:
    return {
        "name": user.name,
        "id": user.id,
        "email": user.email,
        "display_name": user.display_name,
        "created": _time(user.created_ms),
    }


def _key_row(key: AccessKeyRecord) -> dict[str, Any]:
    return {
        "access_key": key.id,
        "active": key.is_active,
        "created": _time(key.created_ms),
        "description": key.description,
    }
