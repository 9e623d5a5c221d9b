"""``tracing-config delete``: one record less."""

import typer

from server.cli.client import DEFAULT_URL, Server, Url, path_of
from server.cli.dry_run import DryRun, Reason, Takeover, end_dry_run
from server.cli.get import Name
from server.cli.if_match import IfMatch, headers_of, tag_of
from server.cli.output import AsJson, print_json, say, tell
from server.cli.set import SERVED_SOON

commands = typer.Typer(name="delete", help="Delete one record.", no_args_is_help=True)


@commands.command("service", epilog="Example: tracing-config delete service checkout --reason 'gone'")
def delete_service(
    name: Name,
    reason: Reason = None,
    takeover: Takeover = False,
    if_match: IfMatch = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Delete the record of a service: it gets what the strategies file, policies and the default say."""
    _delete("service", name, reason, takeover, if_match, dry_run, as_json, url)


@commands.command("policy", epilog="Example: tracing-config delete policy batch")
def delete_policy(
    name: Name,
    reason: Reason = None,
    takeover: Takeover = False,
    if_match: IfMatch = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Delete a policy."""
    _delete("policy", name, reason, takeover, if_match, dry_run, as_json, url)


@commands.command("default", epilog="Example: tracing-config delete default")
def delete_default(
    reason: Reason = None,
    takeover: Takeover = False,
    if_match: IfMatch = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Reset the default: the strategies file's default, else 0.001, is what is left."""
    _delete("default", None, reason, takeover, if_match, dry_run, as_json, url)


@commands.command("boost", epilog="Example: tracing-config delete boost checkout")
def delete_boost(
    service: Name,
    reason: Reason = None,
    if_match: IfMatch = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """End the boost of a service now."""
    _delete("boost", service, reason, False, if_match, dry_run, as_json, url)


def _delete(
    kind: str,
    name: str | None,
    reason: str | None,
    takeover: bool,
    if_match: str | None,
    dry_run: bool,
    as_json: bool,
    url: str,
) -> None:
    params = {"reason": reason, "takeover": takeover or None, "dryRun": dry_run or None}
    answer = Server(url).answer("DELETE", path_of(kind, name), params=params, headers=headers_of(tag_of(if_match)))
    deleted = answer.json
    if dry_run:
        end_dry_run(deleted, as_json=as_json)
    if as_json:
        print_json(deleted)
        return
    done = "default is reset" if name is None else f"{kind} {name} is deleted"
    say(f"{done} (revision {deleted['revision']})")
    if answer.soon:
        tell(SERVED_SOON)
    if deleted.get("uncoversFileEntry"):
        say("What the strategies file says is in force now.")
