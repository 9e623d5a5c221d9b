"""``tracing-config store``: the database behind a server."""

import typer

from server.cli.client import DEFAULT_URL, Server, Url
from server.cli.dry_run import Yes, ask, check_can_ask
from server.cli.failures import Failed
from server.cli.output import AsJson, counted, print_json, say

SECONDS = 120.0
"""Everything is loaded from the other store."""

commands = typer.Typer(name="store", help="The database behind a server.", no_args_is_help=True)


@commands.callback()
def store() -> None:
    """The database behind a server."""


@commands.command("accept", epilog="Example: tracing-config store accept")
def accept(yes: Yes = False, as_json: AsJson = False, url: Url = DEFAULT_URL) -> None:
    """Follow another database that took the place of the followed one. Shows both and asks.

    Every replica follows it then: what is served now is replaced by what is in the other one. `tracing-config export` saves
    what is served before.
    """
    check_can_ask(yes=yes, as_json=as_json, instead="")
    server = Server(url)
    health = server.ask("GET", "/actuator/health", allow=(503,))
    if "components" not in health:
        raise Failed(
            "this server shows its state only to those with a token that it knows; "
            "set TRACING_CONFIG_TOKEN, or TRACING_CONFIG_TOKEN_FILE to a file that holds one"
        )
    served = health["components"]["catalog"]["details"]
    problem = health["components"]["db"]["details"].get("problem")
    if problem is None:
        raise Failed(f"there is nothing to accept: the store {served['storeId']} is followed")
    other = served.get("otherStoreId")
    if not as_json:
        say(f"What is served comes from the store {served['storeId']}, at {served['point']}.")
        say(f"In its place is the store {other}." if other else f"The store in its place cannot be followed: {problem}")
    what = f"Follow the store {other}" if other else "If its database is empty: fill it and follow it"
    ask(f"{what} from now on?", yes=yes)
    answer = server.ask("POST", "/admin/store/accept", json={"storeId": other}, seconds=SECONDS)
    if as_json:
        print_json(answer)
    else:
        say(f"The store {answer['storeId']} is followed, at {answer['point']} with {counted(answer['records'], 'record')}.")
