"""What the first poll of a new name costs, in process: to resolve it, and to answer it from there."""

import gc
import sys
import time

from bench.answer import Answer
from bench.fleet import TEAMS, Fleet
from bench.table import Table
from bench.timings import Timings
from sampling.catalog import Catalog
from sampling.records import Change, Key, SamplingPolicy, Stored, encode_record
from sampling.strategy import OperationStrategy, SamplingStrategy
from server.answers import Answers

POLICIES = 10_000

WITHOUT_PREFIX = 100
"""So many of their patterns begin with a wildcard, so that every name has to be matched with them."""

NAMES = 1_000


def resolve() -> Table:
    """Resolve and answer names that no server has seen before, with many policies."""
    print(f"resolve: {NAMES} names with {POLICIES} policies", file=sys.stderr, flush=True)
    catalog = Catalog(instant=time.time())
    catalog.apply([_policy(number) for number in range(POLICIES)])
    answers = Answers()
    answers.serve(catalog)
    gc.collect()
    gc.freeze()

    first, resolving, answering = Timings(), Timings(), Timings()
    with first.one():
        catalog.resolve("the-very-first")
    for index in range(NAMES):
        name = f"{Fleet.name(index)}-{index:05}"
        with resolving.one():
            catalog.resolve(name)
    for index in range(NAMES):
        request = Answer(f"{Fleet.name(index)}-{index:05}", 0).request
        with answering.one():
            answers.framed(request)
    gc.unfreeze()

    table = Table(f"A new name with {POLICIES} policies, {WITHOUT_PREFIX} of them without a prefix", "", "p50", "p99")
    table.add("resolve", *resolving.microseconds())
    table.add("answer over gRPC", *answering.microseconds())
    table.add("resolve the first name after the start", f"{first.seconds[0] * 1e3:.2f} ms", "")
    return table


def _policy(number: int) -> Change:
    """Most patterns name a team and the beginning of a service; some name an ending, a character set, a middle."""
    if number < WITHOUT_PREFIX:
        pattern = (f"*-canary-{number:02}", f"*-service-{number:02}*", f"[a-t]*-0{number:02}")[number % 3]
    else:
        pattern = f"team-{number % TEAMS:03}-service-{number // TEAMS:02}*"
    policy = SamplingPolicy(
        pattern,
        priority=number % 10,
        sampling_strategy=SamplingStrategy("probabilistic", Fleet.rate(number)),
        operation_strategies=(OperationStrategy("GET /health", 0.0),) if number % 5 == 0 else None,
    )
    return Change(Key("policy", f"policy-{number:05}"), Stored(1, "0123456789abcdef", encode_record(policy)))
