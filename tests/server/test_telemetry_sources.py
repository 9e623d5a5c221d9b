"""Where figures come from: timers, limits of control groups, the use of processors, and the text that is made of all."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from server.telemetry.exposition import exposition
from server.telemetry.metrics import Metrics
from server.telemetry.process import LEAST_SECONDS, Process
from server.telemetry.process_limits import MOST_BYTES, Limits, read_limits
from server.telemetry.request_times import BOUNDS, Request, RequestTimes
from server.telemetry.timer import SLOT_SECONDS, Timer
from storage.pacing import paced

MACHINE = read_limits(Path("/nowhere"))
"""What there is without any limit."""

GIGABYTE = 10**9
UNLIMITED = "9223372036854771712"
"""In version 1."""


def test_the_longest_is_that_of_the_last_two_minutes() -> None:
    timer, start = Timer(), 7 * SLOT_SECONDS
    assert timer.longest(start) == 0
    for seconds, later in ((3.0, 0.0), (5.0, 1.0), (4.0, 2.0), (1.0, SLOT_SECONDS), (2.0, 2 * SLOT_SECONDS)):
        timer.observe(seconds, start + later)
    assert (timer.count, timer.total) == (5, 15.0)
    assert timer.longest(start + 3 * SLOT_SECONDS - 1) == 5
    assert timer.longest(start + 3 * SLOT_SECONDS) == 2
    assert timer.longest(start + 5 * SLOT_SECONDS) == 0
    timer.observe(0.5, start + 9 * SLOT_SECONDS)
    assert timer.longest(start + 9 * SLOT_SECONDS) == 0.5


def test_the_use_of_processors_is_that_since_it_was_asked_before() -> None:
    now, used = 100.0, 7.0
    process = Process(lambda: now, lambda: used)
    assert (process.processors(), process.uptime) == (0, 0)
    now, used = 110.0, 12.0
    assert process.processors() == 0.5
    now, used = 110.0 + LEAST_SECONDS / 2, 12.0
    assert process.processors() == 0.5
    now, used = 120.0, 32.0
    assert process.processors() == 2
    assert process.uptime == 20


class Machine:
    """A tree of files as Linux shows it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.mounts = ["22 1 0:20 / / rw - ext4 /dev/sda rw"]
        (root / "proc/self").mkdir(parents=True)

    def group(self, *lines: str) -> None:
        (self.root / "proc/self/cgroup").write_text("".join(f"{line}\n" for line in lines))

    def mount(self, kind: str, point: str, *, root: str = "/", options: str = "rw") -> None:
        self.mounts.append(f"31 22 0:27 {root} {point} rw,nosuid shared:9 - {kind} {kind} {options}")
        (self.root / "proc/self/mountinfo").write_text("".join(f"{line}\n" for line in self.mounts))

    def file(self, path: str, content: object) -> None:
        whole = self.root / path.lstrip("/")
        whole.parent.mkdir(parents=True, exist_ok=True)
        whole.write_text(f"{content}\n")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_limit_is_the_lowest_of_nested_groups(machine: Machine) -> None:
    machine.group("0::/kubepods/pod1/container")
    machine.mount("cgroup2", "/sys/fs/cgroup")
    machine.file("/sys/fs/cgroup/kubepods/pod1/container/memory.max", "max")
    machine.file("/sys/fs/cgroup/kubepods/pod1/container/cpu.max", "150000 100000")
    machine.file("/sys/fs/cgroup/kubepods/pod1/memory.max", GIGABYTE)
    machine.file("/sys/fs/cgroup/kubepods/pod1/cpu.max", "max 100000")
    machine.file("/sys/fs/cgroup/kubepods/memory.max", 2 * GIGABYTE)
    machine.file("/sys/fs/cgroup/kubepods/cpu.max", "50000 100000")
    machine.file("/sys/fs/memory.max", 1)  # Above the mount: of no group.
    assert read_limits(machine.root) == Limits(GIGABYTE, 0.5)


@pytest.mark.parametrize(
    ("group", "root"), [("/", "/"), ("/docker/abc", "/docker/abc"), ("/../../other", "/"), ("/elsewhere", "/docker/abc")]
)
def test_in_a_container_the_group_is_what_is_mounted(machine: Machine, group: str, root: str) -> None:
    machine.group(f"0::{group}")
    machine.mount("cgroup2", "/sys/fs/cgroup", root=root)
    machine.file("/sys/fs/cgroup/memory.max", GIGABYTE)
    machine.file("/sys/fs/cgroup/cpu.max", "25000 100000")
    machine.file("/sys/other/memory.max", 1)  # Where a name that leads out of the mount would come to.
    assert read_limits(machine.root) == Limits(GIGABYTE, 0.25)


def test_limits_of_version_1_are_found_too(machine: Machine) -> None:
    machine.group("9:memory:/docker/abc", "4:cpu,cpuacct:/docker/abc", "1:name=systemd:/docker/abc", "0::/")
    machine.mount("cgroup", "/sys/fs/cgroup/memory", root="/docker", options="rw,memory")
    machine.mount("cgroup", "/sys/fs/cgroup/cpu,cpuacct", options="rw,cpu,cpuacct")
    machine.mount("cgroup2", "/sys/fs/cgroup/unified")
    machine.file("/sys/fs/cgroup/memory/abc/memory.limit_in_bytes", GIGABYTE)
    machine.file("/sys/fs/cgroup/memory/memory.limit_in_bytes", UNLIMITED)
    machine.file("/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us", 20000)
    machine.file("/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us", 50000)
    machine.file("/sys/fs/cgroup/cpu,cpuacct/docker/cpu.cfs_quota_us", -1)
    machine.file("/sys/fs/cgroup/cpu,cpuacct/docker/cpu.cfs_period_us", 50000)
    assert read_limits(machine.root) == Limits(GIGABYTE, 0.4)


@pytest.mark.parametrize("others", [1, MOST_BYTES // 40])
def test_names_of_mounts_may_have_any_character_and_there_may_be_more_than_are_read(machine: Machine, others: int) -> None:
    machine.group("0::/\u2028pod")
    machine.mount("cgroup2", "/sys/fs/cgroup")
    machine.file("/sys/fs/cgroup/\u2028pod/memory.max", GIGABYTE)
    for _ in range(others - 1):
        machine.mounts.append("40 22 0:30 / /data rw - ext4 /dev/sdb rw")
    machine.mount("ext4", "/data/\u2028\x0b")
    assert read_limits(machine.root).memory_bytes == GIGABYTE


@pytest.mark.parametrize(("memory", "cpu"), [("max", "max 100000"), (UNLIMITED, "900000000 100000"), ("", "1 0"), ("?", "1")])
def test_what_limits_nothing_or_cannot_be_read_leaves_what_the_machine_has(machine: Machine, memory: str, cpu: str) -> None:
    machine.group("0::/")
    machine.mount("cgroup2", "/sys/fs/cgroup")
    machine.file("/sys/fs/cgroup/memory.max", memory)
    machine.file("/sys/fs/cgroup/cpu.max", cpu)
    assert read_limits(machine.root) == MACHINE
    assert MACHINE.memory_bytes > 2**20
    assert MACHINE.cpu_cores >= 1


async def test_the_text_is_the_library_s() -> None:
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    Histogram("seconds", 'A\n\\ b"', ["b", "a"], registry=registry).labels('x"\n\\', "y").observe(3)
    Counter("times", "B.", registry=registry).inc(2**40)
    Gauge("level", "C.", registry=registry).set(float("nan"))
    Summary("size", "D.", ["of"], registry=registry).labels("").observe(-0.1)
    assert await paced(exposition(registry.collect())) == generate_latest(registry)


async def test_a_family_in_pieces_has_one_head() -> None:
    def families() -> Iterator[Metric]:
        yield GaugeMetricFamily("one", "A gauge.", 1)
        for name in ("a", "b"):
            counter = CounterMetricFamily("many", "Counted.", labels=["of"])
            counter.add_metric([name], 2)
            yield counter
        yield GaugeMetricFamily("last", "Another.", float("inf"))

    assert (await paced(exposition(families()))).decode() == (
        "# HELP one A gauge.\n# TYPE one gauge\none 1.0\n"
        '# HELP many_total Counted.\n# TYPE many_total counter\nmany_total{of="a"} 2.0\nmany_total{of="b"} 2.0\n'
        "# HELP last Another.\n# TYPE last gauge\nlast +Inf\n"
    )


async def test_requests_are_counted_in_each_bucket_that_they_fit_in() -> None:
    times = RequestTimes()
    for seconds in (0.004, 0.5, 0.6, 100.0):
        times.observe(Request("GET", "/a", "200"), seconds)
    times.observe(Request("PUT", "/a", "503"), 0.1)
    text = (await paced(exposition(times.collect()))).decode().splitlines()
    assert [line for line in text if line.startswith("#")][1::2] == [
        "# TYPE http_request_duration_seconds histogram",
        "# TYPE http_requests_total counter",
    ]
    counts = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in text if not line.startswith("#")}
    labels = 'method="GET",route="/a",status="200"'
    for bound, count in (("0.005", 1), ("0.25", 1), ("0.5", 2), ("1", 3), ("30", 3), ("+Inf", 4)):
        assert counts[f'http_request_duration_seconds_bucket{{le="{bound}",{labels}}}'] == count
    assert counts[f"http_request_duration_seconds_count{{{labels}}}"] == counts[f"http_requests_total{{{labels}}}"] == 4
    assert counts[f"http_request_duration_seconds_sum{{{labels}}}"] == pytest.approx(101.104)
    assert 0.5 in BOUNDS
    assert counts['http_requests_total{method="PUT",route="/a",status="503"}'] == 1


class Collections(Collector):
    """Counts how often it was asked."""

    def __init__(self) -> None:
        self.count = 0

    def collect(self) -> Iterator[Metric]:
        self.count += 1
        yield GaugeMetricFamily("collections", "Counted.", self.count)


async def test_scrapes_at_once_share_one_text_and_the_next_is_made_anew() -> None:
    metrics, collections = Metrics(), Collections()
    metrics.registry.register(collections)
    texts = await asyncio.gather(*(metrics.text(perf_counter()) for _ in range(100)))
    assert len(set(texts)) <= 2
    assert collections.count <= 2
    before = collections.count
    assert f"collections {before + 1}.0".encode() in await metrics.text(perf_counter())


async def test_a_scrape_waits_for_no_thread_that_a_disk_holds_up() -> None:
    metrics, answers = Metrics(), threading.Event()
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    hanging = asyncio.get_running_loop().run_in_executor(None, answers.wait)
    try:
        async with asyncio.timeout(10):
            assert b"process_open_fds" in await metrics.text(perf_counter())
    finally:
        answers.set()
        await hanging


async def test_a_scrape_that_is_given_up_leaves_nobody_with_an_old_text() -> None:
    metrics, collections = Metrics(), Collections()
    metrics.registry.register(collections)
    first = asyncio.ensure_future(metrics.text(perf_counter()))
    await asyncio.sleep(0)  # It begins.
    abandoned, waiting = (asyncio.ensure_future(metrics.text(perf_counter())) for _ in range(2))
    old = await first
    await asyncio.sleep(0)
    abandoned.cancel()
    assert await waiting != old
