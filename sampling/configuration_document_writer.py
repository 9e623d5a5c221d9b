"""Writing a whole configuration as a document in our own format, without loss."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

import msgspec

from sampling.catalog import Catalog
from sampling.configuration_document import FORMAT
from sampling.name_order import sorted_in_slices
from sampling.records import DEFAULT_POLICY, KINDS, Kind

_AT_ONCE = 100
"""Records in one piece of text."""

_SECTION_OF: dict[Kind, str] = {"service": "services", "policy": "policies", "boost": "boosts"}

_encode = msgspec.json.Encoder().encode


class Provenance(msgspec.Struct, frozen=True, rename="camel"):
    """Where a document comes from."""

    revision: int
    commit_id: str
    store_id: str


class Unreadable(msgspec.Struct, frozen=True):
    """A record that somebody edited behind the program's back, so that it is none any more."""

    kind: Kind
    name: str
    reason: str
    record: str


class Names(NamedTuple):
    """What is written, in order."""

    readable: Mapping[Kind, Sequence[str]]
    unreadable: Sequence[Unreadable]


def names_in_slices(catalog: Catalog) -> Generator[None, None, Names]:
    """The names of all records in order; yields after each slice of work."""
    bad = catalog.problems
    unreadable = [
        Unreadable(key.kind, key.name, bad[key], catalog.records(key.kind)[key.name].body.decode(errors="replace"))
        for key in sorted(bad)
    ]
    readable: dict[Kind, Sequence[str]] = {}
    for kind in KINDS:
        left_out = {key.name for key in bad if key.kind == kind} | ({DEFAULT_POLICY} if kind == "policy" else set())
        names = yield from sorted_in_slices(catalog.records(kind))
        readable[kind] = [name for name in names if name not in left_out] if left_out else names
    return Names(readable, unreadable)


def pieces(catalog: Catalog, names: Names, provenance: Provenance) -> Iterator[bytes]:
    """The document, a small piece at a time; ``catalog`` must not change meanwhile."""
    default = catalog.records("policy").get(DEFAULT_POLICY)
    if default is not None and any(one.kind == "policy" and one.name == DEFAULT_POLICY for one in names.unreadable):
        default = None
    yield b'{"format":%s,' % _encode(FORMAT) + _encode(provenance)[1:-1]
    yield b',\n"default":' + (b"null" if default is None else default.body)
    for kind in KINDS:
        records, rest = catalog.records(kind), iter(names.readable[kind])
        yield b',\n"%s":{' % _SECTION_OF[kind].encode()
        separator = b"\n"
        while some := list(islice(rest, _AT_ONCE)):
            yield separator + b",\n".join(_encode(name) + b":" + records[name].body for name in some)
            separator = b",\n"
        yield b"}"
    if names.unreadable:
        yield b',\n"unreadable":' + _encode(names.unreadable)
    yield b"}\n"
