"""Every line of the operations guide works: what can be run here is run against two replicas, and prints what it should."""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

import pytest
import yaml

from tests.deploy.kubernetes import COMPOSITIONS, FOLDER, render
from tests.deploy.log_template import TEMPLATE
from tests.operations.expected import EXPECTED
from tests.operations.expected_blocks import EXPECTED_BLOCKS
from tests.operations.guide import NEEDS_A_CLUSTER, NONE, PAGE, RUNS_HERE, Block, Row, blocks, cluster_blocks, rows
from tests.operations.installation import RULES, Installation, missing_programs
from tests.operations.not_run import ON_A_CLUSTER, WITHOUT_COUNTERPART
from tests.operations.output import Between, Expected, is_right
from tests.services.opensearch import OpenSearchServer
from tests.waiting import eventually

BLOCKS = blocks()
ROWS = rows()
FIRST_LOOK = "Is it us, the database or the clients 2"

SECTIONS = (
    (9, "service", 15),
    (33, "health", 14),
    (90, "logs", 10),
    (137, "figures", 8),
    (173, "alerts", 9),
    (292, "service down", 15),
    (340, "latency", 7),
    (415, "database", 7),
    (464, "maintenance", 11),
    (504, "configuration updates", 4),
    (553, "backup and recovery", 17),
    (603, "JVM", 15),
    (639, "database tuning", 10),
    (671, "cache tuning", 8),
    (711, "common issues", 16),
    (811, "performance issues", 7),
    (844, "security issues", 4),
    (874, "resources", 18),
    (936, "database growth", 2),
    (969, "security monitoring", 5),
    (995, "access control", 3),
    (1009, "templates", 1),
    (1038, "checklists", 15),
    (1061, "contacts", 7),
)
"""Of the old guide: the first line of each, what it is about, how many rows come of it."""

RUN_HERE = [row for row in ROWS if row.mark == RUNS_HERE]


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    assert missing_programs() == []
    assert missing_programs() == []
    with Installation(tmp_path_factory.mktemp("installation")) as installation:
        yield installation


@pytest.fixture(scope="module")
def elasticsearch() -> Iterator[str]:
    """The address of a real OpenSearch that holds an error and a slow request."""
    with OpenSearchServer() as server:
        server.ask("PUT", "/_index_template/tracing-config-logs", TEMPLATE)
        for app, found in (
            ("tracing-config", {"level": "ERROR"}),
            ("tracing-config", {"level": "INFO", "response_time": 1500.5}),
            ("other", {"level": "ERROR"}),
        ):
            line = {"@timestamp": datetime.now(UTC).isoformat(), **found, "kubernetes": {"labels": {"app": app}}}
            server.ask("POST", "/tracing-config-logs-2026.01.01/_doc?refresh=true", line)
        yield server.url


async def shows(installation: Installation, command: str, expected: Expected, **variables: str) -> None:
    """Prometheus tells what it scraped a moment ago, so it is asked again for a while."""
    output = installation.run(command, **variables)

    def is_there() -> bool:
        nonlocal output
        output = installation.run(command, **variables)
        return is_right(output, expected)

    if "$PROMETHEUS" in command and not is_right(output, expected):
        with suppress(TimeoutError):
            await eventually(is_there, seconds=30)
    assert is_right(output, expected), f"{command}\nprinted\n{output}\ninstead of {expected}"


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.name)
async def test_a_block_of_the_guide_shows_what_it_is_for(installation: Installation, block: Block) -> None:
    expected = EXPECTED_BLOCKS[block.name]
    if block.language == "bash":
        output = installation.run(block.text)
        assert [one for one in expected if not is_right(output, one)] == [], output
        return
    assert len(block.parts) == len(expected)
    for part, one in zip(block.parts, expected, strict=True):
        asked = (
            'promtool query instant "$PROMETHEUS" "$QUERY"' if block.language == "promql" else 'psql "$DATABASE" -c "$QUERY"'
        )
        await shows(installation, asked, one, QUERY=part)


@pytest.mark.parametrize("row", RUN_HERE, ids=lambda row: row.line)
async def test_a_row_that_runs_here_prints_what_it_should(
    installation: Installation, row: Row, request: pytest.FixtureRequest
) -> None:
    needs_search = "$ELASTICSEARCH" in row.command
    variables = {"ELASTICSEARCH": request.getfixturevalue("elasticsearch")} if needs_search else {}
    await shows(installation, row.command, EXPECTED[row.line], **variables)


def test_every_line_of_the_old_guide_has_a_row() -> None:
    """It is no part of this repository: what of it needs a row was counted beside it, section by section."""
    numbers = [int(re.sub(r"[a-z]$", "", row.line)) for row in ROWS]
    assert numbers == sorted(numbers)
    assert len({row.line for row in ROWS}) == len(ROWS) == 228
    starts = [first for first, _about, _count in SECTIONS]
    counts = Counter(bisect_right(starts, number) - 1 for number in numbers)
    assert [(first, about, counts[number]) for number, (first, about, _count) in enumerate(SECTIONS)] == list(SECTIONS)
    assert all(row.where and row.was and row.here for row in ROWS)


def test_no_row_is_marked_as_not_runnable_unseen() -> None:
    assert {row.line: row.command for row in ROWS if row.mark == NEEDS_A_CLUSTER} == ON_A_CLUSTER
    assert {row.line for row in ROWS if row.mark == NONE} == WITHOUT_COUNTERPART
    assert {row.line for row in RUN_HERE} == EXPECTED.keys()
    assert {row.mark for row in ROWS} == {RUNS_HERE, NEEDS_A_CLUSTER, NONE}
    assert all(row.here.startswith("none: ") == (row.mark == NONE) for row in ROWS)


def test_every_block_is_looked_at() -> None:
    assert {block.name for block in BLOCKS} == EXPECTED_BLOCKS.keys()
    assert all(EXPECTED_BLOCKS.values())


def on_a_cluster() -> Iterator[str]:
    """Every command for a cluster, on one line each."""
    text = "".join(block.text for block in cluster_blocks())
    yield from (line.strip() for line in text.replace("\\\n", " ").splitlines())
    yield from ON_A_CLUSTER.values()


def test_a_command_for_a_cluster_is_spelled_as_kubectl_knows_it(installation: Installation) -> None:
    told = [command for command in on_a_cluster() if command.startswith("kubectl ")]
    assert len(told) > 60
    script = ""
    for command in sorted(set(told)):
        asked = re.split(r" -- | [|>&]|  +#", command)[0]
        script += f"{asked} --help > /dev/null || exit\n"
    installation.run(script)


def test_a_command_for_a_cluster_names_what_the_manifests_have() -> None:
    applied = [render(FOLDER, COMPOSITIONS[name]) for name in ("production", "sqlite-single")]
    there = {str(document["metadata"]["name"]) for manifests in applied for document in manifests.documents}
    there |= {"tracing-config-backup-now", "tracing-config-logs-"}  # made by the command; indices
    for command in on_a_cluster():
        # The image, labels and files are no objects.
        words = re.sub(r"exalt/\S+|app=\S+|\S+\.(yaml|json)", "", command)
        assert set(re.findall(r"\b(tracing-config[\w-]*|exalt-\w+)", words)) - there == set(), command


def test_every_alert_has_a_heading_and_every_heading_an_alert() -> None:
    document = yaml.safe_load(RULES.read_text())
    alerts = [rule["alert"] for group in document["groups"] for rule in group["rules"]]
    assert sorted(re.findall(r"^### (TracingConfig\w+)$", PAGE, re.MULTILINE)) == sorted(alerts)


def verdicts(installation: Installation) -> list[str]:
    """What the first look says of each replica."""
    (look,) = [block for block in BLOCKS if block.name == FIRST_LOOK]
    return [line.split("  ")[1].split(" (")[0] for line in installation.run(look.text).splitlines()]


def test_the_first_look_reads_what_a_replica_tells(installation: Installation) -> None:
    (look,) = [block for block in BLOCKS if block.name == FIRST_LOOK]
    read = set(re.findall(r"\b(?:db_up|tracing_config_\w+)", look.text))
    assert len(read) == 5
    assert read - {sample.partition("{")[0] for sample in installation.replicas[0].metrics()} == set()


async def test_the_first_look_tells_the_database_from_us_and_alerts_begin(installation: Installation) -> None:
    """The last of all: nothing is started again."""
    installation.postgres.stop()
    installation.valkey.stop()
    await eventually(lambda: verdicts(installation) == ["the database: polls go on, writes wait"] * 2)
    assert installation.replicas[0].put_rate("checkout", 0.5).status_code == 503
    (answers,) = [row.command for row in RUN_HERE if row.line == "716"]
    (errors,) = [row.command for row in RUN_HERE if row.line == "717"]
    await eventually(lambda: is_right(installation.run(answers), Between(1, 100)))
    await eventually(lambda: is_right(installation.run(errors), Between(1, 100)))
    installation.replicas[0].kill()
    assert verdicts(installation) == ["us: no answer", "the database: polls go on, writes wait"]
    for alert in ("TracingConfigDatabaseDown", "TracingConfigRedisDown", "TracingConfigDown"):
        query = f'ALERTS{{alertname="{alert}", alertstate="pending"}}'
        await shows(installation, f"promtool query instant \"$PROMETHEUS\" '{query}'", r"=> 1 @")
