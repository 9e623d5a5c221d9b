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
    table = Table(
        f"A new name with {POLICIES} policies, {WITHOUT_PREFIX} of them without a prefix", "", "p50", "p99", "slowest"
    )
    for kind, pattern in (("a prefix each", _own_prefix), ("one prefix for all", _shared_prefix)):
        catalog = Catalog(instant=time.time())
        catalog.apply([_policy(number, pattern(number)) for number in range(POLICIES)])
        answers = Answers()
        answers.serve(catalog)
        gc.collect()
        gc.freeze()
        early, resolving, answering = Timings(), Timings(), Timings()
        for timings, service in ((early, 0), (resolving, NAMES)):
            for name in _new_names(service):
                with timings.one():
                    catalog.resolve(name)
        for request in [Answer(name, 0).request for name in _new_names(2 * NAMES)]:
            with answering.one():
                answers.framed(request)
        gc.unfreeze()
        table.add(f"{kind}: resolve, the first {NAMES} after the start", *early.microseconds())
        table.add(f"{kind}: resolve, the next {NAMES}", *resolving.microseconds())
        table.add(f"{kind}: answer over gRPC", *answering.microseconds())
    return table


def _new_names(first: int) -> list[str]:
    """Names that are configured nowhere and that some policies match."""
    return [f"{Fleet.name(index)}-new" for index in range(first, first + NAMES)]


def _own_prefix(number: int) -> str:
    """Most patterns name a team and the beginning of a service; some name an ending, a character set, a middle."""
    if number < WITHOUT_PREFIX:
        return (f"*-canary-{number:02}", f"*-service-{number:02}*", f"[a-t]*-0{number:02}")[number % 3]
    return f"team-{number % TEAMS:03}-service-{number // TEAMS:02}*"


def _shared_prefix(number: int) -> str:
    """Most patterns name a service of any team."""
    return _own_prefix(number) if number < WITHOUT_PREFIX else f"team-*-service-{number:04}*"


def _policy(number: int, pattern: str) -> Change:
    policy = SamplingPolicy(
        pattern,
        priority=number % 10,
        sampling_strategy=SamplingStrategy("probabilistic", Fleet.rate(number)),
        operation_strategies=(OperationStrategy("GET /health", 0.0),) if number % 5 == 0 else None,
    )
    return Change(Key("policy", f"policy-{number:05}"), Stored(1, "0123456789abcdef", encode_record(policy)))
