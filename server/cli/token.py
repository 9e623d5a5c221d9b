"""``tracing-config token``: tokens of the configuration API, kept by their hashes."""

import json
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from server.cli.failures import Failed
from server.cli.output import tell
from server.sidecar.identity import Role, identity_of
from server.sidecar.tokens import add_to_token_file, entry_of, make_token

commands = typer.Typer(name="token", help="Make tokens of the configuration API.", no_args_is_help=True)


@commands.callback()
def token() -> None:
    """Make tokens of the configuration API."""


@commands.command(epilog="Example: tracing-config token create ci --role editor --service 'team-*'")
def create(
    name: Annotated[str, typer.Argument(help="Who will use it: the actor of every change that is made with it.")],
    *,
    role: Annotated[Role, typer.Option("--role", help="What it may: read; also write; also the admin endpoints.")],
    services: Annotated[
        list[str] | None,
        typer.Option("--service", help="An editor may write services and boosts like this pattern only; repeat it for more."),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", help="The file that TRACING_CONFIG_TOKENS_FILE names; the hash is added to it."),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Make the token of this name in the file useless.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object with the token.")] = False,
) -> None:
    """Make a token and print it, once: only its hash is kept.

    Without --file the entry for the file is printed on the standard error. A running server reads its file again within a
    second.
    """
    try:
        identity = identity_of(name, role, tuple(services) if services else None)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    made = make_token()
    entry = entry_of(made, identity)
    if file is not None:
        try:
            add_to_token_file(file, entry, replace=replace)
        except ValueError as error:
            raise Failed(str(error)) from None
        except OSError as error:
            raise Failed(f"cannot write {file}: {error.strerror}; name a file in a folder of this user") from None
        tell(f"added {name} ({role}) to {file}; this token is not shown again:")
    else:
        tell("add this entry to the list in the file that TRACING_CONFIG_TOKENS_FILE names:")
        tell(msgspec.json.encode(entry).decode())
    print(json.dumps({"name": name, "role": role, "token": made}) if as_json else made)
