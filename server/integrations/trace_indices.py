"""Which indices hold traces of one day, by their names, and which of them are old. No other name is ever chosen."""

import re
from collections.abc import Collection, Generator, Mapping, Sequence
from datetime import date, timedelta
from operator import attrgetter
from typing import NamedTuple

import msgspec

JAEGER = ("jaeger-span", "jaeger-service", "jaeger-dependencies", "jaeger-sampling")
"""A date follows, or a date and an hour where Jaeger begins an index each hour."""

ZIPKIN = ("zipkin-span", "zipkin-dependency", "zipkin-autocomplete")
"""A date follows."""

LIFECYCLE = "its lifecycle policy removes what is old"

_ROLLOVER = re.compile(r"-[0-9]{6,}$")


class Index(NamedTuple):
    """An index as the server lists it."""

    name: str
    aliases: Sequence[str] = ()
    data_stream: str | None = None
    """Whose backing index it is."""


class Listing(NamedTuple):
    """What there is under some names."""

    indices: Sequence[Index]
    aliases: Sequence[str]
    data_streams: Sequence[str]


class Stayed(msgspec.Struct, frozen=True):
    """An index, an alias or a data stream that is left alone, and why."""

    index: str
    reason: str


class Old(NamedTuple):
    """An index that may be removed."""

    day: date
    name: str
    aliases: Sequence[str]


class Decision(NamedTuple):
    """What is to become of all that is listed."""

    old: Sequence[Old]
    """The oldest first."""

    stayed: Sequence[Stayed]


class TraceIndices:
    """The names that Jaeger and Zipkin give their daily indices."""

    def __init__(self, prefixes: Sequence[str] = (), separator: str = "-") -> None:
        """
        Args:
            prefixes: what stands before ``jaeger-...`` and ``zipkin-...``, with or without the ``-`` at its end; none: nothing.
            separator: between year, month and day, or ``none``.
        """
        between = "" if separator == "none" else separator
        before = [prefix if prefix.endswith("-") else f"{prefix}-" for prefix in prefixes] or [""]
        self.patterns = [f"{start}{kind}-*" for start in dict.fromkeys(before) for kind in (*JAEGER, *ZIPKIN)]
        """For the server, each with one wildcard at its end."""
        self._example = f"2026{between}11{between}24"
        start, gap = "|".join(map(re.escape, before)), re.escape(between)
        day = f"([0-9]{{4}}){gap}([0-9]{{2}}){gap}([0-9]{{2}})"
        kinds = f"(?:(?:{'|'.join(ZIPKIN)})-{day}|(?:{'|'.join(JAEGER)})-{day}(?:{gap}(?:[01][0-9]|2[0-3]))?)"
        self._dated = re.compile(f"(?:{start}){kinds}")

    def day(self, name: str) -> date | None:
        """The day whose traces an index of this name holds, in UTC; None where it is no daily index of traces."""
        found = self._dated.fullmatch(name)
        if found is None:
            return None
        year, month, day = (int(part) for part in found.groups() if part is not None)
        try:
            return date(year, month, day)
        except ValueError:
            return None

    def decide(
        self, listings: Collection[Listing], today: date, days: int, write_indices: Mapping[str, str]
    ) -> Generator[None, None, Decision]:
        """Tell what is older than so many days from what is not. Yields after each slice of work.

        Old is what is of a day before ``older_than``: with one day, yesterday's indices stay.

        Args:
            days: at least 1.
            write_indices: names of indices that an alias writes to, with that alias.
        """
        old: dict[str, Old] = {}
        stayed: dict[str, Stayed] = {}
        for listing in listings:
            for stream in listing.data_streams:
                stayed[stream] = Stayed(stream, f"a data stream; {LIFECYCLE}")
                yield
            for alias in listing.aliases:
                stayed[alias] = Stayed(alias, "an alias")
                yield
            for index in listing.indices:
                day = self.day(index.name)
                reason = self._reason_to_stay(index, day, today, days, write_indices)
                if reason is not None:
                    stayed[index.name] = Stayed(index.name, reason)
                elif day is not None:
                    old[index.name] = Old(day, index.name, index.aliases)
                yield
        certain = (each for name, each in old.items() if name not in stayed)
        return Decision(sorted(certain), sorted(stayed.values(), key=attrgetter("index")))

    def _reason_to_stay(
        self, index: Index, day: date | None, today: date, days: int, write_indices: Mapping[str, str]
    ) -> str | None:
        if index.data_stream is not None:
            return f"a backing index of the data stream {index.data_stream}; {LIFECYCLE}"
        if day is None and _ROLLOVER.search(index.name):
            return f"a rollover index; {LIFECYCLE}"
        if day is None:
            return f"no date like {self._example} in its name"
        if day > today:
            return "its day is in the future"
        if day == today:
            return "of today"
        if day >= older_than(today, days):
            return f"not older than {days} day{'s' * (days > 1)}"
        if index.name in write_indices:
            return f"the alias {write_indices[index.name]} writes to it"
        return None


def older_than(today: date, days: int) -> date:
    """The first day that stays.

    Raises:
        ValueError: fewer than one day: today's traces are never old.
    """
    if days < 1:
        raise ValueError(f"days: {days} is less than 1")
    return today - timedelta(days=days)
