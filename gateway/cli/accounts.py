"""`comfyfleet account`, `token` and `managed-runner`: what an operator does."""

from typing import Annotated

import typer

from deploy.local.commands import HomeOption
from deploy.local.home import DEFAULT
from gateway.cli.options import (
    AdminKeyOption,
    HeadersOption,
    JsonOption,
    RegistryOption,
    TagsOption,
)

account = typer.Typer(no_args_is_help=True, help="Accounts of the fleet. For its operator.")
token = typer.Typer(no_args_is_help=True, help="Tokens of an account. For the fleet's operator.")
managed_runner = typer.Typer(no_args_is_help=True, help="Runners that accounts of a tier share. For the operator.")
AccountOption = Annotated[
    str,
    typer.Option(
        "--account", envvar="COMFYFLEET_ACCOUNT", metavar="ID", help="Whose tokens; else the account of HOME's fleet."
    ),
]


@account.command("create")
def account_create(
    name: Annotated[str, typer.Option(help="Shown to people.")],
    tier: Annotated[str, typer.Option(help="free, pro, plus or enterprise.")] = "free",
    as_json: JsonOption = False,
    home: HomeOption = DEFAULT,
    registry: RegistryOption = "",
    admin_key: AdminKeyOption = "",
) -> None:
    """Make an account. Its three tokens are shown once and never again.

    Example: comfyfleet account create --name studio --tier pro --json
    """
    from gateway.cli import administration, show

    made = administration.of(home, registry, admin_key).create_account(name, tier)
    show.as_json(made) if as_json else show.facts(made)


@account.command("list")
def account_list(
    as_json: JsonOption = False,
    home: HomeOption = DEFAULT,
    registry: RegistryOption = "",
    admin_key: AdminKeyOption = "",
) -> None:
    """List all accounts, newest first.

    Example: comfyfleet account list
    """
    from gateway.cli import administration, show

    listed = administration.of(home, registry, admin_key).accounts()
    if as_json:
        show.as_json({"accounts": listed})
    else:
        show.table(
            ("account_id", "name", "tier", "created_at"), [list(item.values()) for item in listed], "no accounts"
        )


@token.command("create")
def token_create(
    name: Annotated[str, typer.Option(help="What it is for.")],
    account_id: AccountOption = "",
    days: Annotated[int, typer.Option(min=0, max=36500, help="Works for so many days; 0: for ever.")] = 0,
    as_json: JsonOption = False,
    home: HomeOption = DEFAULT,
    registry: RegistryOption = "",
    admin_key: AdminKeyOption = "",
) -> None:
    """Make a named token. Its secret is shown once and never again.

    Example: comfyfleet token create --account 6f1c… --name laptop --days 90
    """
    from gateway.cli import administration, show
    from gateway.cli.credentials import owner

    made = administration.of(home, registry, admin_key).create_token(owner(home, account_id), name, days)
    show.as_json(made) if as_json else show.facts(made)


@token.command("list")
def token_list(
    account_id: AccountOption = "",
    as_json: JsonOption = False,
    home: HomeOption = DEFAULT,
    registry: RegistryOption = "",
    admin_key: AdminKeyOption = "",
) -> None:
    """List the tokens of an account, without their secrets.

    Example: comfyfleet token list --account 6f1c…
    """
    from gateway.cli import administration, show
    from gateway.cli.credentials import owner

    listed = administration.of(home, registry, admin_key).tokens(owner(home, account_id))
    if as_json:
        show.as_json({"tokens": listed})
    else:
        columns = ("token_id", "kind", "name", "created_at", "expires_at", "last_used_at")
        show.table(columns, [list(item.values()) for item in listed], "no tokens")


@token.command("revoke")
def token_revoke(
    token_id: Annotated[str, typer.Argument(metavar="ID", help="Id of a named token, as `token list` shows it.")],
    home: HomeOption = DEFAULT,
    registry: RegistryOption = "",
    admin_key: AdminKeyOption = "",
) -> None:
    """Revoke a named token. It stops working within ten seconds.

    Example: comfyfleet token revoke 6f1c…
    """
    from gateway.cli import administration

    administration.of(home, registry, admin_key).revoke_token(token_id)
    typer.echo(f"revoked {token_id}")


@token.command("rotate")
def token_rotate(
    slot: Annotated[int, typer.Option(min=1, max=2, help="Which of the account's two slots.")],
    account_id: AccountOption = "",
    as_json: JsonOption = False,
    home: HomeOption = DEFAULT,
    registry: RegistryOption = "",
    admin_key: AdminKeyOption = "",
) -> None:
    """Replace the secret of one slot; the other slot goes on working.

    Example: comfyfleet token rotate --account 6f1c… --slot 2
    """
    from gateway.cli import administration, show
    from gateway.cli.credentials import owner

    made = administration.of(home, registry, admin_key).rotate_token(owner(home, account_id), slot)
    show.as_json(made) if as_json else show.facts(made)


@managed_runner.command("add")
def managed_runner_add(  # noqa: PLR0913, PLR0917  # one parameter an option
    name: Annotated[str, typer.Option(help="Shown to people.")],
    endpoint: Annotated[str, typer.Option(metavar="URL", help="Address of the ComfyUI server.")],
    runner_type: Annotated[str, typer.Option(metavar="pro|plus", help="Lowest tier that may use it.")],
    tags: TagsOption = None,
    headers: HeadersOption = None,
    as_json: JsonOption = False,
    home: HomeOption = DEFAULT,
    registry: RegistryOption = "",
    admin_key: AdminKeyOption = "",
) -> None:
    """Register a ComfyUI server that all accounts of a tier share.

    Example: comfyfleet managed-runner add --name a100 --endpoint http://10.0.0.5:8188 --runner-type pro --json
    """
    from gateway.cli import administration, show
    from gateway.cli.headers import parse

    office = administration.of(home, registry, admin_key)
    made = office.add_managed_runner(name, endpoint, runner_type, tags or [], parse(headers or []))
    show.as_json(made) if as_json else show.facts(made)


@managed_runner.command("list")
def managed_runner_list(
    as_json: JsonOption = False,
    home: HomeOption = DEFAULT,
    registry: RegistryOption = "",
    admin_key: AdminKeyOption = "",
) -> None:
    """List all managed runners.

    Example: comfyfleet managed-runner list
    """
    from gateway.cli import administration, show

    listed = administration.of(home, registry, admin_key).managed_runners()
    if as_json:
        show.as_json({"runners": listed})
    else:
        columns = ("id", "name", "type", "status", "health", "endpoint", "tags")
        show.table(columns, [[item[column] for column in columns] for item in listed], "no managed runners")
