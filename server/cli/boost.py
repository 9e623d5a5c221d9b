"""``tracing-config boost``: another answer for one service, for a while."""

from typing import Annotated

import typer

from server.cli.client import DEFAULT_URL, Server, Url
from server.cli.dry_run import DryRun, end_dry_run
from server.cli.failures import WrongUsage
from server.cli.output import AsJson, moment, print_json, rules_text, say, tell
from server.cli.set import SERVED_SOON, LowerBound, Operations, Probability, RateLimit, record_of


def boost(
    service: Annotated[str, typer.Argument(help="Exactly this service.")],
    probability: Probability = None,
    rate_limit: RateLimit = None,
    lower_bound: LowerBound = None,
    operations: Operations = None,
    duration: Annotated[str | None, typer.Option("--for", help="How long: 90s, 30m, 2h, 1h30m, 1d.")] = None,
    until: Annotated[str | None, typer.Option("--until", help="Instead of --for: like 2026-12-01T00:00:00Z.")] = None,
    reason: Annotated[str | None, typer.Option("--reason", help="Why; it is shown with the boost.")] = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Give one service another answer for a while.

    It replaces the whole answer. It ends by itself; `delete boost` ends it sooner.
    """
    if (duration is None) == (until is None):
        raise WrongUsage("a boost ends: give --for or --until")
    if probability is None and rate_limit is None:
        raise WrongUsage("give --probability or --rate-limit: a boost replaces the whole answer")
    body = {"service": service, **record_of(None, probability, rate_limit, lower_bound, operations)}
    body |= {"duration": duration} if until is None else {"endsAt": until}
    body |= {"reason": reason} if reason else {}
    answer = Server(url).answer("POST", "/config/boosts", json=body, params={"dryRun": dry_run or None})
    given = answer.json
    if dry_run:
        end_dry_run(given, as_json=as_json)
    if as_json:
        print_json(given)
        return
    rules = rules_text(given["samplingStrategy"], given["operationStrategies"])
    say(f"{given['service']} gets {rules} until {moment(given['endsAt'])} (revision {given['revision']})")
    if answer.soon:
        tell(SERVED_SOON)
