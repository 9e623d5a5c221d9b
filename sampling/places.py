"""Every place that could have a say for a name, the strongest first, and why some of them have none."""

from collections.abc import Generator, Mapping
from typing import NamedTuple

import msgspec

from sampling.catalog import Catalog
from sampling.layers import LAST_LAYER, Source
from sampling.policies import Policy, by_rank, moment_text, seconds
from sampling.records import (
    DEFAULT_KEY,
    DEFAULT_POLICY,
    Boost,
    Key,
    Rules,
    SamplingPolicy,
    ServiceConfiguration,
    Stored,
    decode_record,
)

_AT_ONCE = 20


class Place(NamedTuple):
    """What one place says, and what keeps it from being heard before the places are even compared."""

    source: Source
    key: str
    rules: Rules
    silent: str = ""
    """Why it has no say now; empty: it has."""

    operations_covered: str = ""
    """Why its operations do not count though its strategy would."""

    policy: Policy | None = None
    """What it is compared by with other policies."""

    revision: int | None = None
    """Of the commit that wrote the record; None where it is none."""


def places_of(catalog: Catalog, name: str, policies: Mapping[str, Stored]) -> Generator[None, None, list[Place]]:
    """All places. ``policies`` are the records of all policies, the others are taken from the catalog.

    Nobody may change these meanwhile. Yields after each slice of work.
    """
    boosted = ""
    places = []
    if (stored := catalog.records("boost").get(name)) is not None:
        boost = _boost(catalog, name, stored)
        if not boost.silent:
            boosted = f"the boost replaces the whole answer until {moment_text(_end(stored))}"
        places.append(boost)
    rest = [*_exact(catalog, name), *(yield from _policies(catalog, name, policies)), *_last(catalog, policies)]
    return places + [place._replace(silent=place.silent or boosted) for place in rest]


def _boost(catalog: Catalog, name: str, stored: Stored) -> Place:
    if (unreadable := _unreadable(catalog, Key("boost", name))) is not None:
        return Place("boost", name, Rules(), unreadable, revision=stored.revision)
    rules = decode_record(Boost, stored.body).rules
    end = _end(stored)
    silent = "" if catalog.instant < end else f"ended at {moment_text(end)}"
    return Place("boost", name, rules, silent, revision=stored.revision)


def _end(stored: Stored) -> float:
    return seconds(decode_record(Boost, stored.body).ends_at, 0)


def _exact(catalog: Catalog, name: str) -> list[Place]:
    """The service's record and the strategies file's entry."""
    places = []
    operations_covered = ""
    if (stored := catalog.records("service").get(name)) is not None:
        if (unreadable := _unreadable(catalog, Key("service", name))) is not None:
            places.append(Place("service", name, Rules(), unreadable, revision=stored.revision))
        else:
            record = decode_record(ServiceConfiguration, stored.body)
            silent = "" if record.enabled else "disabled"
            places.append(Place("service", name, record.rules, silent, revision=stored.revision))
            if record.enabled:
                operations_covered = "the operations of the service's record, even none, replace those of the file's entry"
    if (entry := catalog.file.services.get(name)) is not None:
        rules = msgspec.json.decode(entry, type=Rules)
        places.append(Place("file", name, rules, operations_covered=operations_covered))
    return places


def _policies(catalog: Catalog, name: str, records: Mapping[str, Stored]) -> Generator[None, None, list[Place]]:
    """Those whose pattern matches: first those in force, then those that are not."""
    active = catalog.policies.matching(name, catalog.instant)
    waiting = {policy.name: policy for policy in catalog.policies.matching(name)}
    for policy in active:
        del waiting[policy.name]
    silent = []
    for policy in waiting.values():
        early = catalog.instant < policy.starts
        silent.append((policy, f"starts at {moment_text(policy.starts)}" if early else f"ended at {moment_text(policy.ends)}"))
    places = [
        Place("policy", policy.name, policy.rules, policy=policy, revision=records[policy.name].revision) for policy in active
    ]
    unreadable = []
    for index, (key, stored) in enumerate(records.items()):
        if index % _AT_ONCE == 0:
            yield
        if key == DEFAULT_POLICY or key in catalog.policies:
            continue
        if (problem := _unreadable(catalog, Key("policy", key))) is not None:
            unreadable.append(Place("policy", key, Rules(), problem, revision=stored.revision))
            continue
        record = decode_record(SamplingPolicy, stored.body)
        if not record.enabled:
            # To match may mean to compile the pattern, which takes long.
            yield
            if (policy := Policy(key, record)).pattern.matches(name):
                silent.append((policy, "disabled"))
    silent.sort(key=lambda entry: by_rank(entry[0]))
    places += [
        Place("policy", policy.name, policy.rules, reason, policy=policy, revision=records[policy.name].revision)
        for policy, reason in silent
    ]
    return places + unreadable


def _last(catalog: Catalog, policies: Mapping[str, Stored]) -> list[Place]:
    """The default record, the strategies file's default, and the last resort."""
    places = []
    operations_covered = ""
    stored = policies.get(DEFAULT_POLICY)
    revision = None if stored is None else stored.revision
    if catalog.default is not None:
        places.append(Place("default", DEFAULT_POLICY, catalog.default.rules, revision=revision))
        operations_covered = "the operations of the default record, even none, replace those of the file's default"
    elif stored is not None:
        if (unreadable := _unreadable(catalog, DEFAULT_KEY)) is not None:
            places.append(Place("default", DEFAULT_POLICY, Rules(), unreadable, revision=revision))
        else:
            rules = decode_record(SamplingPolicy, stored.body).rules
            silent = "nobody has set it" if rules == Rules() else "disabled"
            places.append(Place("default", DEFAULT_POLICY, rules, silent, revision=revision))
    if catalog.file.default is not None:
        places.append(Place("file-default", "", catalog.file.default, operations_covered=operations_covered))
    places.append(Place(*LAST_LAYER))
    return places


def _unreadable(catalog: Catalog, key: Key) -> str | None:
    """What is wrong with a record that somebody edited behind the program's back."""
    problem = catalog.problems.get(key)
    return None if problem is None else f"cannot be read, and counts as absent: {problem}"


def described(source: Source, key: str) -> str:
    """A place in a sentence."""
    if source == "policy":
        return f"the policy {key!r}"
    return _DESCRIBED[source]


_DESCRIBED: Mapping[Source, str] = {
    "boost": "the boost",
    "service": "the service's record",
    "file": "the entry of the strategies file",
    "default": "the default",
    "file-default": "the default of the strategies file",
    "fallback": "the built-in last resort",
}
