"""Who may do what, who is told of a refusal, and that nobody is told a secret."""

import json
import re
import time
from collections.abc import Iterator
from functools import partial
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.sidecar.identity import Identity
from server.sidecar.requests import WriteQuery
from server.sidecar.route import Route
from server.sidecar.routes import ROUTES
from server.sidecar.tokens import add_to_token_file, entry_of, make_token
from tests.e2e.replica import Replica
from tests.e2e.test_start_errors import refused
from tests.server.signing import OTHER_SECRET, SECRET, claims, sign
from tests.waiting import eventually

ADMIN_TOKEN = "the-admin-token-of-the-tests-0123456789"
VIEWER, EDITOR, TEAM = make_token(), make_token(), make_token()
HALF = {"samplingStrategy": {"type": "probabilistic", "param": 0.5}}
CLIENT = "198.51.100.7"


class Guarded:
    """A replica with all kinds of tokens, its secrets mounted as Kubernetes does, and everything it ever answered."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.secrets = {ADMIN_TOKEN, SECRET, OTHER_SECRET, VIEWER, EDITOR, TEAM, sign(claims())}
        self.answers: list[str] = []
        self.client = httpx.Client(timeout=15)
        self.tokens_file = folder / "tokens.json"
        for token, identity in (
            (VIEWER, Identity("reader", "viewer")),
            (EDITOR, Identity("ci", "editor")),
            (TEAM, Identity("team", "editor", ("team-*",))),
        ):
            add_to_token_file(self.tokens_file, entry_of(token, identity), replace=False)
        self.mount(admin=ADMIN_TOKEN, jwt=SECRET)
        self.replica = Replica(
            folder / "data",
            TRACING_CONFIG_ADMIN_TOKEN="",
            TRACING_CONFIG_ADMIN_TOKEN_FILE=str(folder / "mount" / "admin"),
            TRACING_CONFIG_TOKENS_FILE=str(self.tokens_file),
            TRACING_CONFIG_JWT_SECRETS_FILE=str(folder / "mount" / "jwt"),
            TRACING_CONFIG_JWT_AUDIENCE="tracing-config",
            TRACING_CONFIG_TRUSTED_PROXIES="1",
        )

    def mount(self, **files: str) -> None:
        """New content of the mounted folder, by swapping a link."""
        data = self.folder / f"data-{time.monotonic_ns()}"
        data.mkdir()
        for name, content in files.items():
            (data / name).write_text(f"{content}\n")
        (self.folder / "next").symlink_to(data)
        (self.folder / "next").replace(self.folder / "mount")

    def ask(self, method: str, path: str, token: str | None, **arguments: Any) -> httpx.Response:
        headers = {"X-Forwarded-For": f"192.0.2.66, {CLIENT}", **arguments.pop("headers", {})}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        response = self.client.request(method, f"{self.replica.sidecar_url}{path}", headers=headers, **arguments)
        self.answers += [response.text, str(response.headers)]
        return response

    def status(self, token: str | None, method: str = "GET", path: str = "/api/v1/config/services") -> int:
        return self.ask(method, path, token).status_code

    def refusals(self) -> dict[str, float]:
        """By reason."""
        name = re.compile(r'tracing_config_authentication_failures_total\{reason="(.*)"\}')
        return {found[1]: count for sample, count in self.replica.metrics().items() if (found := name.match(sample))}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    guarded = Guarded(tmp_path_factory.mktemp("auth"))
    with guarded.replica, guarded.client:
        yield guarded


DAY = 86_400


def jwt(**others: Any) -> str:
    """Good for a day: some are made when the tests are collected, and used whenever their turn comes."""
    return sign(claims(aud="tracing-config", **{"exp": int(time.time()) + DAY, **others}))


def path_of(route: Route[Any, Any]) -> str:
    return re.sub(r"\{\w+\}", "somebody", route.path)


def is_dry(route: Route[Any, Any]) -> bool:
    return route.query is not None and issubclass(route.query, WriteQuery)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_route_takes_who_may_and_nobody_else(guarded: Guarded, route: Route[Any, Any]) -> None:
    bearers: dict[str | None, str | None] = {"admin": ADMIN_TOKEN, "editor": EDITOR, "viewer": VIEWER, None: None}
    enough: dict[str | None, set[str | None]] = {
        None: set(bearers),
        "viewer": {"viewer", "editor", "admin"},
        "editor": {"editor", "admin"},
        "admin": {"admin"},
    }
    for who, token in bearers.items():
        # Who may is told so before what was asked is read: an empty body will do.
        status = guarded.status(token, route.method, path_of(route))
        if who in enough[route.role]:
            assert status not in (401, 403, 500), who
        else:
            assert status == (401 if who is None else 403), who


def test_what_changes_something_needs_an_editor_and_only_health_metrics_and_the_document_need_nobody() -> None:
    assert {route.role for route in ROUTES if route.method != "GET"} == {"editor", "admin"}
    assert {route.path for route in ROUTES if route.role is None} == {
        "/actuator",
        "/actuator/health",
        "/actuator/health/{path}",
        "/actuator/info",
        "/actuator/health/liveness",
        "/actuator/health/readiness",
        "/actuator/metrics",
        "/actuator/metrics/{metric}",
        "/actuator/prometheus",
        "/api/v1/openapi.json",
    }
    assert all(
        route.role == "admin"
        for route in ROUTES
        if route.path.startswith(("/api/v1/admin", "/actuator/configprops", "/actuator/threaddump"))
    )


@pytest.mark.parametrize(
    "route", [route for route in ROUTES if route.role == "editor"], ids=lambda route: f"{route.method} {route.path}"
)
def test_a_viewer_may_see_what_a_write_would_do(guarded: Guarded, route: Route[Any, Any]) -> None:
    assert is_dry(route)
    for value, is_refused in (("true", False), ("false", True)):
        response = guarded.ask(route.method, path_of(route), VIEWER, params={"dryRun": value})
        assert (response.status_code == 403) is is_refused
        assert response.status_code not in (401, 500)
    assert guarded.ask(route.method, path_of(route), None, params={"dryRun": "true"}).status_code == 401


def test_no_admin_route_can_be_had_by_a_dry_run() -> None:
    assert not any(is_dry(route) for route in ROUTES if route.role == "admin")


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (None, "no-token"),
        ("Basic YWRtaW46YWRtaW4=", "no-token"),
        ("Bearer", "no-token"),
        (ADMIN_TOKEN, "no-token"),
        ("Bearer wrong", "unknown-token"),
        (f"Bearer {ADMIN_TOKEN[:-1]}", "unknown-token"),
        (f"Bearer {ADMIN_TOKEN}0", "unknown-token"),
        (f"Bearer {entry_of(EDITOR, Identity('ci', 'editor')).sha256}", "unknown-token"),
        ("Bearer é", "unknown-token"),
        ("Bearer a.b.c", "unknown-token"),
        (f"Bearer {'x' * 8001}", "too-long"),
        (f"Bearer {jwt(exp=1)}", "expired"),
        (f"Bearer {jwt(nbf=time.time() + DAY / 2)}", "not-yet-valid"),
        (f"Bearer {jwt(exp=None)}", "bad-claims"),
        (f"Bearer {jwt(role='root')}", "bad-claims"),
        (f"Bearer {sign(claims())}", "bad-claims"),
        (f"Bearer {sign(claims(aud='tracing-config'), OTHER_SECRET)}", "unknown-token"),
    ],
    ids=[
        "nothing",
        "another scheme",
        "an empty token",
        "no scheme",
        "an unknown token",
        "a part of the token",
        "more than the token",
        "a hash of the file",
        "no ASCII",
        "garbage like a JWT",
        "too long",
        "expired",
        "not yet valid",
        "without an end",
        "unknown role",
        "without audience",
        "another secret",
    ],
)
def test_a_refusal_is_a_problem_a_log_line_and_a_count(guarded: Guarded, header: str | None, reason: str) -> None:
    before = guarded.refusals()
    path = f"/api/v1/config/services/{time.monotonic_ns()}"
    headers = {} if header is None else {b"Authorization": header.encode()}
    url = f"{guarded.replica.sidecar_url}{path}?reason=in-the-query"
    client = new_address()
    response = guarded.client.get(url, headers={b"X-Forwarded-For": f"192.0.2.66, {client}".encode(), **headers})
    guarded.answers.append(response.text)
    assert response.status_code == 401
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert response.json()["type"] == "urn:tracing-config:problem:unauthorized"
    event = guarded.replica.wait_for_event(lambda event: event.get("remote_addr") == client)
    assert (event["level"], event["message"]) == ("WARN", "authentication failed")
    assert (event["method"], event["route"]) == ("GET", "/api/v1/config/services/{service}")
    assert event["reason"] in response.json()["detail"]
    assert "in-the-query" not in json.dumps(event)
    assert guarded.refusals() == {**before, reason: before[reason] + 1}


def new_address() -> str:
    """Of a client that no other line of the log is about."""
    return str(IPv6Address(2**125 + time.monotonic_ns()))


def test_what_a_role_may_not_do_is_told_with_the_name(guarded: Guarded) -> None:
    before = guarded.refusals()["forbidden"]
    client = new_address()
    headers = {"X-Forwarded-For": client}
    response = guarded.ask("PUT", "/api/v1/config/services/told?reason=in-the-query", VIEWER, json=HALF, headers=headers)
    assert response.status_code == 403
    assert response.json()["type"] == "urn:tracing-config:problem:forbidden"
    event = guarded.replica.wait_for_event(lambda event: event.get("remote_addr") == client)
    assert (event["message"], event["name"]) == ("forbidden", "reader")
    assert (event["method"], event["route"]) == ("PUT", "/api/v1/config/services/{service}")
    assert "viewer" in event["reason"]
    assert "in-the-query" not in json.dumps(event)
    assert guarded.refusals()["forbidden"] == before + 1


@pytest.mark.parametrize(
    ("token", "actor"),
    [(ADMIN_TOKEN, "admin"), (EDITOR, "ci"), (TEAM, "team"), (jwt(sub="dépl/oyer"), "dépl/oyer")],
    ids=["admin token", "token file", "scoped", "JWT"],
)
def test_the_actor_of_a_change_is_the_name_of_the_token(guarded: Guarded, token: str, actor: str) -> None:
    body = {"samplingStrategy": {"type": "probabilistic", "param": 1 / len(actor)}}
    assert guarded.ask("PUT", "/api/v1/config/services/team-acted", token, json=body).status_code == 200
    changes = guarded.ask("GET", "/api/v1/config/changes?limit=1", VIEWER).json()["changes"]
    assert (changes[0]["name"], changes[0]["actor"]) == ("team-acted", actor)
    guarded.replica.wait_for_event(lambda event: event.get("name") == "team-acted" and event["actor"] == actor)


SCOPED_JWT = jwt(sub="team-by-jwt", services=["team-*"])


@pytest.mark.parametrize("token", [TEAM, SCOPED_JWT], ids=["token file", "JWT"])
def test_a_scoped_editor_writes_own_services_and_boosts(guarded: Guarded, token: str) -> None:
    for method, path, body in (
        ("PUT", "/services/team-a", HALF),
        ("POST", "/boosts", {"service": "team-a", "duration": "1h", **HALF}),
        ("POST", "/batch", {"writes": [{"kind": "service", "name": "team-b", "record": HALF}]}),
        ("DELETE", "/boosts/team-a", None),
        ("DELETE", "/services/team-a", None),
        ("DELETE", "/services/team-b", None),
    ):
        response = guarded.ask(method, f"/api/v1/config{path}", token, json=body)
        assert response.status_code == 200, (path, response.text)


@pytest.mark.parametrize("token", [TEAM, SCOPED_JWT], ids=["token file", "JWT"])
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/services/other", HALF),
        ("DELETE", "/services/other-there", None),
        ("POST", "/boosts", {"service": "other", "duration": "1h", **HALF}),
        ("PUT", "/policies/team-a", {"servicePattern": "team-*", **HALF}),
        ("PUT", "/default", HALF),
        ("DELETE", "/default", None),
        (
            "POST",
            "/batch",
            {"writes": [{"kind": "service", "name": name, "record": HALF} for name in ("team-a", "other", "team-b")]},
        ),
        ("POST", "/batch", {"writes": [{"kind": "default", "record": HALF}]}),
        ("POST", "/rollback", {"revision": 1}),
        ("POST", "/import", {"services": {"team-a": HALF, "other": HALF}}),
    ],
)
def test_a_scoped_editor_writes_nothing_else(guarded: Guarded, method: str, path: str, body: Any, token: str) -> None:
    guarded.ask("PUT", "/api/v1/config/services/other-there", EDITOR, json=HALF)
    guarded.ask("DELETE", "/api/v1/config/services/team-a", EDITOR)
    before = guarded.ask("GET", "/api/v1/config/services", VIEWER).json()
    response = guarded.ask(method, f"/api/v1/config{path}", token, json=body)
    assert response.status_code == 403, response.text
    assert "team-*" in response.json()["detail"]
    assert guarded.ask("GET", "/api/v1/config/services", VIEWER).json() == before
    guarded.replica.wait_for_event(lambda event: event["message"] == "forbidden" and event["name"].startswith("team"))


async def test_the_token_file_is_read_again_when_it_changes(guarded: Guarded) -> None:
    token, content = make_token(), guarded.tokens_file.read_bytes()
    guarded.secrets.add(token)
    add_to_token_file(guarded.tokens_file, entry_of(token, Identity("new", "viewer")), replace=False)
    await eventually(lambda: guarded.status(token) == 200)
    guarded.tokens_file.write_text(f'[{{"name": "{SECRET}", "role": "viewer", "sha256": "{token}"}}]')

    def told() -> bool:
        """Whether the log has it; a file is looked at when something is asked."""
        assert [guarded.status(known) for known in (VIEWER, token)] == [200, 200]
        guarded.ask("PUT", "/api/v1/config/services/told", EDITOR, json={**HALF, "description": str(time.monotonic())})
        guarded.replica.wait_for_event(lambda event: event.get("name") == "told")
        return any(event.get("setting") == "TRACING_CONFIG_TOKENS_FILE" and event["level"] == "ERROR" for event in events)

    events = guarded.replica.events
    await eventually(told)
    guarded.tokens_file.write_bytes(content)
    await eventually(lambda: guarded.status(token) == 401)
    assert guarded.status(VIEWER) == 200


async def test_mounted_secrets_rotate_without_a_gap(guarded: Guarded) -> None:
    old, new = jwt(), sign(claims(aud="tracing-config"), OTHER_SECRET)
    new_admin = "the-new-admin-token-of-the-tests-0123456789"
    guarded.secrets.add(new_admin)

    def statuses() -> list[int]:
        return [guarded.status(token) for token in (old, new, ADMIN_TOKEN, new_admin)]

    def seems(expected: list[int]) -> bool:
        seen.append(statuses())
        return seen[-1] == expected

    seen = [statuses()]
    for files, expected in (
        ({"admin": ADMIN_TOKEN, "jwt": f"{OTHER_SECRET},{SECRET}"}, [200, 200, 200, 401]),
        ({"admin": new_admin, "jwt": OTHER_SECRET}, [401, 200, 401, 200]),
    ):
        guarded.mount(**files)
        await eventually(partial(seems, expected))
    # One of them is good at any time; within a round of questions the files may change.
    assert seen[0] == [200, 401, 200, 401]
    assert all(200 in each[:2] for each in seen)
    guarded.mount(admin=ADMIN_TOKEN, jwt=SECRET)
    await eventually(partial(seems, seen[0]))


def test_configprops_says_what_is_set_and_where_it_came_from(guarded: Guarded) -> None:
    said = guarded.ask("GET", "/actuator/configprops", ADMIN_TOKEN).json()
    mount = guarded.folder / "mount"
    expected = {
        "TRACING_CONFIG_HOST": {"value": "127.0.0.1", "origin": "default"},
        "TRACING_CONFIG_TRUSTED_PROXIES": {
            "value": 1,
            "origin": "environment",
            "variable": "TRACING_CONFIG_TRUSTED_PROXIES",
        },
        "TRACING_CONFIG_ADMIN_TOKEN": {
            "value": "******",
            "origin": "file",
            "variable": "TRACING_CONFIG_ADMIN_TOKEN_FILE",
            "file": str(mount / "admin"),
        },
        "TRACING_CONFIG_DATABASE_URL": {"value": None, "origin": "default"},
    }
    assert {name: said["properties"][name] for name in expected} == expected
    assert said["security"] == {
        "roles": ["viewer", "editor", "admin"],
        "tokens": 3,
        "jwt": {
            "enabled": True,
            "algorithms": ["HS256"],
            "secrets": 1,
            "issuer": None,
            "audience": "tracing-config",
        },
        "trustedProxies": 1,
    }


def test_no_secret_is_ever_said(guarded: Guarded) -> None:
    """In any answer or log line of this whole file, with what is refused and what is shown, or in the list of processes."""
    for token in [*guarded.secrets, jwt(), jwt(exp=1), "a-wrong-token-somebody-has-elsewhere"]:
        guarded.secrets.add(token)
        guarded.ask("GET", "/actuator/configprops", token)
        guarded.ask("PUT", "/api/v1/config/services/x", token, json={"a": 1})
        guarded.ask("PUT", "/api/v1/config/default", token, headers={"If-Match": "x"})
        guarded.ask("GET", "/nowhere", token)
    guarded.ask("PUT", "/api/v1/config/services/last", EDITOR, json=HALF)
    guarded.replica.wait_for_event(lambda event: event.get("name") == "last")
    everything = json.dumps(guarded.replica.events) + "".join(guarded.answers) + json.dumps(guarded.replica.health())
    everything += Path(f"/proc/{guarded.replica.pid}/cmdline").read_text() + str(guarded.replica.metrics())
    assert len(guarded.replica.events) > len(guarded.secrets), "the refusals of this test alone are more"
    assert [secret for secret in guarded.secrets if secret in everything] == []


@pytest.mark.parametrize(
    ("setting", "content"),
    [
        ("TRACING_CONFIG_TOKENS_FILE", '[{"name": "ci", "role": "root", "sha256": "hunter2"}]'),
        ("TRACING_CONFIG_TOKENS_FILE", None),
        ("TRACING_CONFIG_JWT_SECRETS_FILE", "hunter2"),
    ],
)
def test_a_broken_file_stops_the_start_with_one_line(tmp_path: Path, setting: str, content: str | None) -> None:
    file = tmp_path / "file"
    if content is not None:
        file.write_text(content)
    line = refused(tmp_path / "data", **{setting: str(file)})
    assert setting in line
    assert "hunter2" not in line


def test_a_weak_admin_token_of_the_data_folder_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "admin-token").write_text("hunter2")
    line = refused(tmp_path, TRACING_CONFIG_ADMIN_TOKEN="")
    assert str(tmp_path / "admin-token") in line
    assert "hunter2" not in line
