"""Lists of records by name: filtered, and cut into pages, in slices that no poll notices."""

from collections.abc import Callable, Generator, Iterable, Sequence
from itertools import islice
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import UNSET, Meta, UnsetType

from sampling.catalog import Catalog
from sampling.records import Instant, Stored
from sampling.strategy import MAX_NAME_BYTES
from server.sidecar.parts import Parts
from server.sidecar.requests import PageQuery
from storage.pacing import paced

MAX_PAGE_BYTES = 4 * 1024 * 1024
"""A page ends early rather than grow beyond this, however large its records are; it has at least one."""

SLICE_NAMES = 250

Type = Literal["probabilistic", "ratelimiting", "operations"]
Owner = Annotated[str, Meta(max_length=MAX_NAME_BYTES)]


class NameQuery(PageQuery, frozen=True):
    """Of lists that can be filtered by name."""

    name: Annotated[str, Meta(max_length=MAX_NAME_BYTES, description="A part of the name; case sensitive.")] = ""


class RecordsQuery(NameQuery, frozen=True):
    """Which records are listed: those for which all that is given holds."""

    type: Annotated[Type | UnsetType, Meta(description="Of the strategy; `operations`: without one of its own.")] = UNSET
    owner: Annotated[Owner | UnsetType, Meta(description="Who manages it; empty: nobody does.")] = UNSET
    enabled: Annotated[bool | UnsetType, Meta(description="Whether it is enabled.")] = UNSET


class _Strategy(msgspec.Struct, gc=False):
    type: str


class Facts(msgspec.Struct, rename="camel", gc=False):
    """What filters look at in the text of a record or file entry. The rest of the text is skipped unread."""

    sampling_strategy: _Strategy | None = None
    enabled: bool = True
    managed_by: str | None = None
    ends_at: Instant | None = None

    @property
    def type(self) -> str:
        return "operations" if self.sampling_strategy is None else self.sampling_strategy.type


_facts = msgspec.json.Decoder(Facts).decode
_encode = msgspec.json.Encoder().encode

Holds = Callable[[Facts], bool]


def record_filter(query: RecordsQuery) -> Holds | None:
    """What must hold for a record to be listed; None where its name alone decides."""
    kind, owner, enabled = query.type, query.owner, query.enabled
    if kind is UNSET and owner is UNSET and enabled is UNSET:
        return None
    return lambda facts: (
        (kind is UNSET or facts.type == kind)
        and (owner is UNSET or (facts.managed_by or "") == owner)
        and (enabled is UNSET or facts.enabled == enabled)
    )


Find = Callable[[str], Stored | None]


class Listed(NamedTuple):
    """A kind of list."""

    find: Callable[[Catalog], Find]
    """Looks up a name in this catalog; None for what the list does not have."""

    show: Callable[[Catalog, str, Stored], object]
    """Makes what the list tells of it."""


class Page(NamedTuple):
    """A part of a list."""

    views: Sequence[Any]
    """The JSON texts of what ``Listed.show`` made."""

    next_cursor: str | None
    revision: int
    """At which the records on the page were so."""


async def page(parts: Parts, query: NameQuery, names: Sequence[Iterable[str]], listed: Listed, holds: Holds | None) -> Page:
    """The first of these names after the cursor that are found and fit the query.

    ``names`` may give a name twice, and must not change meanwhile, as ``Served.names``. Records may: a page may then be short
    of the limit, and only the cursor tells where the list ends.

    Raises:
        Problem: 503 before anything is loaded.
    """
    catalog, _ = parts.loaded()
    first = await paced(_first(names, query, listed.find(catalog), holds))
    more = first[query.limit - 1] if len(first) > query.limit else None
    # In one step: what is on the page was so at this point.
    catalog, point = parts.loaded()
    find = listed.find(catalog)
    found = [(name, find(name)) for name in first[: query.limit]]
    views, cut = await paced(_views(catalog, found, listed.show, holds))
    return Page(views, cut or more, point.revision)


def _fits(stored: Stored | None, holds: Holds | None) -> bool:
    if stored is None or holds is None:
        return stored is not None
    try:
        return holds(_facts(stored.body))
    except ValueError:
        # Somebody edited it behind the program's back: it has no type, owner or state that could be looked for.
        return False


def _first(
    names: Sequence[Iterable[str]], query: NameQuery, find: Find, holds: Holds | None
) -> Generator[None, None, list[str]]:
    """The first names in order, one more than the page has: it says whether there is a next page."""
    after, part, count = query.cursor, query.name, query.limit + 1
    first: list[str] = []
    for each in names:
        rest = iter(each)
        while some := list(islice(rest, SLICE_NAMES)):
            later = [name for name in some if name > after and part in name]
            if len(first) == count:
                # Most records of a long list are never looked into: enough names come before theirs.
                last = first[-1]
                later = [name for name in later if name < last]
            fit = set()
            for name in later:
                if _fits(find(name), holds):
                    fit.add(name)
                yield
            if fit:
                first = sorted(fit.union(first))[:count]
            yield
    return first


def _views(
    catalog: Catalog,
    found: Sequence[tuple[str, Stored | None]],
    show: Callable[[Catalog, str, Stored], object],
    holds: Holds | None,
) -> Generator[None, None, tuple[list[msgspec.Raw], str | None]]:
    """The texts for the page, and the last name on it where it was cut for its size."""
    views: list[msgspec.Raw] = []
    size, last = 0, None
    for name, stored in found:
        if stored is not None and _fits(stored, holds):
            text = _encode(show(catalog, name, stored))
            size += len(text)
            if views and size > MAX_PAGE_BYTES:
                return views, last
            views.append(msgspec.Raw(text))
        last = name
        yield
    return views, None
