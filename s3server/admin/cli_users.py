"""Commands for users and their access keys; they work whether the server runs or not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from s3server.admin.output import (
    ConfigFile,
    Directory,
    Json,
    SecretFile,
    emit,
    read_secret,
    show_time,
    table,
    utc_ms,
)
from s3server.admin.tenants import OnlyProject, ProjectName, run

if TYPE_CHECKING:
    from s3server.core.records import AccessKeyRecord, UserRecord
    from s3server.maintenance import Tenants

users = typer.Typer(no_args_is_help=True)
keys = typer.Typer(no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the user.")]
Policy = Annotated[
    str,
    typer.Argument(metavar="POLICY", help="ARN, or the name of one of AWS's: AdministratorAccess."),
]

USER_COLUMNS = ("name", "project", "email", "display_name", "created", "id")
KEY_COLUMNS = ("access_key", "active", "created", "expires", "scope", "description")
_SECRET_CHARACTERS = 8  # at least, as for root's


@users.command("create")
def create_user(
    name: Name,
    *,
    email: Annotated[str, typer.Option(help="E-mail address; need not be unique.")] = "",
    display_name: Annotated[str, typer.Option(help="Name for people.")] = "",
    project: ProjectName = None,
    config: ConfigFile = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Create a user. A name is free again as soon as its user was deleted."""

    async def work(tenants: Tenants) -> UserRecord:
        return await tenants.users.create_user(
            name,
            email=email,
            display_name=display_name,
            account=await tenants.account(project),
        )

    row = _user_row(run(work, config, directory), project)
    emit(row, as_json=as_json, text=table([row], USER_COLUMNS))


@users.command("list")
def list_users(
    *,
    project: OnlyProject = None,
    config: ConfigFile = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """List all users, of whatever project."""

    async def work(tenants: Tenants) -> list[dict[str, Any]]:
        names = {each.id: each.name for each in await tenants.projects.list_projects()}
        account = None if project is None else await tenants.account(project)
        found = await tenants.users.list_users()
        return [
            _user_row(user, names.get(user.account, user.account))
            for user in found
            if account in (None, user.account)
        ]

    rows = run(work, config, directory)
    emit(rows, as_json=as_json, text=table(rows, USER_COLUMNS))


@users.command("show")
def show_user(
    name: Name,
    *,
    project: ProjectName = None,
    config: ConfigFile = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Show a user and their access keys."""

    async def work(tenants: Tenants) -> tuple[UserRecord, list[AccessKeyRecord]]:
        account = await tenants.account(project)
        user = await tenants.users.get_user(name, account=account)
        return user, await tenants.users.list_keys(name, account=account)

    user, found = run(work, config, directory)
    row, key_rows = _user_row(user, project), [_key_row(key) for key in found]
    policies = list(user.bindings.managed)
    tables = [table([row], USER_COLUMNS), table(key_rows, KEY_COLUMNS), "\n".join(policies)]
    text = "\n\n".join(filter(None, tables))
    emit({**row, "keys": key_rows, "policies": policies}, as_json=as_json, text=text)


@users.command("delete")
def delete_user(
    name: Name,
    *,
    project: ProjectName = None,
    config: ConfigFile = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Delete a user and their access keys; buckets stay."""

    async def work(tenants: Tenants) -> None:
        await tenants.users.delete_user(name, account=await tenants.account(project))

    run(work, config, directory)
    emit({"deleted": name}, as_json=as_json, text=f"deleted {name}")


@users.command("attach")
def attach_policy(
    name: Name,
    policy: Policy,
    *,
    project: ProjectName = None,
    config: ConfigFile = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Attach a managed policy; a project's first administrator gets theirs so."""
    from s3server.core.directory import USERS  # noqa: PLC0415 (slow to load)

    async def work(tenants: Tenants, arn: str) -> None:
        account = await tenants.account(project)
        await tenants.attachments.attach(USERS, account, name, arn)

    _change_policy(
        work, policy, name, "attached", config=config, directory=directory, as_json=as_json
    )


@users.command("detach")
def detach_policy(
    name: Name,
    policy: Policy,
    *,
    project: ProjectName = None,
    config: ConfigFile = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Take a managed policy from a user; what it allowed ends with the next request."""
    from s3server.core.directory import USERS  # noqa: PLC0415 (slow to load)

    async def work(tenants: Tenants, arn: str) -> None:
        account = await tenants.account(project)
        await tenants.attachments.detach(USERS, account, name, arn)

    _change_policy(
        work, policy, name, "detached", config=config, directory=directory, as_json=as_json
    )


@keys.command("create")
def create_key(
    name: Name,
    *,
    description: Annotated[str, typer.Option(help="What the key is for.")] = "",
    expires: Annotated[
        datetime | None, typer.Option(help="When it ends, in UTC: 2027-01-31, or with a time.")
    ] = None,
    scope: Annotated[
        str, typer.Option(help="What it may do at most: read-only, s3://bucket/prefix, a file.")
    ] = "",
    access_key: Annotated[str | None, typer.Option(help="Id of a key to bring along.")] = None,
    secret_key_file: SecretFile = None,
    project: ProjectName = None,
    config: ConfigFile = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Create an access key; its secret is shown now and never again."""
    if (access_key is None) != (secret_key_file is None):
        raise typer.BadParameter("--access-key and --secret-key-file belong together")
    secret = read_secret(secret_key_file) if secret_key_file is not None else None
    if secret is not None and len(secret) < _SECRET_CHARACTERS:
        raise typer.BadParameter(f"a secret has at least {_SECRET_CHARACTERS} characters")
    ends = 0 if expires is None else utc_ms(expires)
    if expires is not None and ends <= utc_ms(datetime.now(UTC)):
        raise typer.BadParameter(f"--expires: {show_time(ends)} is past")
    limits = _scope(scope)

    async def work(tenants: Tenants) -> tuple[AccessKeyRecord, str]:
        return await tenants.users.create_key(
            name,
            description=description,
            access_key_id=access_key,
            secret=secret,
            account=await tenants.account(project),
            expires_ms=ends,
            scope=limits,
        )

    key, shown = run(work, config, directory)
    text = f"access key   {key.id}\nsecret key   {shown}"
    emit({**_key_row(key), "secret_key": shown}, as_json=as_json, text=text)


@keys.command("list")
def list_keys(
    name: Name,
    *,
    project: ProjectName = None,
    config: ConfigFile = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """List the access keys of a user."""

    async def work(tenants: Tenants) -> list[AccessKeyRecord]:
        return await tenants.users.list_keys(name, account=await tenants.account(project))

    rows = [_key_row(key) for key in run(work, config, directory)]
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

    async def work(tenants: Tenants) -> None:
        await tenants.users.delete_key(access_key)

    run(work, config, directory)
    emit({"deleted": access_key}, as_json=as_json, text=f"deleted {access_key}")


def _change_policy(
    change: Callable[[Tenants, str], Awaitable[None]],
    policy: str,
    name: str,
    done: str,
    *,
    config: ConfigFile,
    directory: Directory,
    as_json: bool,
) -> None:
    """Do `change` with the ARN of a policy, and say so."""
    arn = policy if policy.startswith("arn:") else f"arn:aws:iam::aws:policy/{policy}"
    run(lambda tenants: change(tenants, arn), config, directory)
    emit({"user": name, done: arn}, as_json=as_json, text=f"{name}: {done} {arn}")


def _user_row(user: UserRecord, project: str | None) -> dict[str, Any]:
    return {
        "name": user.name,
        "project": project or "default",
        "id": user.id,
        "email": user.email,
        "display_name": user.display_name,
        "created": show_time(user.created_ms),
    }


def _key_row(key: AccessKeyRecord) -> dict[str, Any]:
    return {
        "access_key": key.id,
        "active": key.is_active,
        "created": show_time(key.created_ms),
        "description": key.description,
        "expires": show_time(key.expires_ms),
        "scope": dict(key.tags).get("scope", ""),
    }


def _scope(given: str) -> str:
    """Return a scope in words, or the policy that a file holds."""
    from s3server.auth.policy_parse import PolicyError, parse_policy  # noqa: PLC0415

    if not given.endswith(".json"):
        return given
    text = Path(given).read_text(encoding="utf-8").strip()
    try:
        parse_policy(text, has_principals=False)
    except PolicyError as error:
        raise typer.BadParameter(f"{given} is no policy: {error}") from None
    return text
