"""Commands for sessions; they work whether the server runs or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from s3server.admin.output import ConfigFile, Directory, Json, emit
from s3server.admin.tenants import ProjectName, run

if TYPE_CHECKING:
    from s3server.maintenance import Tenants

sessions = typer.Typer(no_args_is_help=True)


@sessions.callback()
def _group() -> None:
    """Take temporary credentials back."""


@sessions.command("revoke")
def revoke(
    *,
    user: Annotated[str | None, typer.Option(metavar="NAME", help="Name of the user.")] = None,
    role: Annotated[str | None, typer.Option(metavar="NAME", help="Name of the role.")] = None,
    project: ProjectName = None,
    config: ConfigFile = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """End all sessions that a user or a role has now; keys stay, new sessions can begin."""
    if (user is None) == (role is None):
        raise typer.BadParameter("name a user or a role")

    async def work(tenants: Tenants) -> None:
        account = await tenants.account(project)
        if user is not None:
            await tenants.revocation.of_user(account, user)
        elif role is not None:
            await tenants.revocation.of_role(account, role)

    run(work, config, directory)
    name = user or role
    emit({"revoked": name}, as_json=as_json, text=f"sessions of {name} are over")
