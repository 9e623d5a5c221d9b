"""``tracing-config env``: what a service needs at its start, for a shell or a file."""

from typing import Annotated

import typer

from server.cli.client import DEFAULT_URL, Server, Url, path_of
from server.cli.failures import Failed
from server.cli.output import AsJson, print_json, tell
from server.environment_lines import environment_lines


def env(
    service: Annotated[str, typer.Argument(help="Any name; it need not be configured.")],
    dotenv: Annotated[
        bool, typer.Option("--dotenv", help="Lines without `export`, for systemd, Docker and every reader of .env files.")
    ] = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Print OpenTelemetry's variables for a service: sampled by this server, exporting where its record says."""
    found = Server(url).ask("GET", f"{path_of('service', service, polled=True)}/telemetry")
    if as_json:
        print_json(found)
        return
    try:
        # Made here: a shell is going to obey it, so no text of a server is printed as it came.
        lines = environment_lines(found["environment"])
    except ValueError as error:
        raise Failed(f"{error}; --json prints it nevertheless") from None
    for warning in found["warnings"]:
        tell(f"warning: {warning}")
    for line in lines:
        print(line if dotenv else f"export {line}")
