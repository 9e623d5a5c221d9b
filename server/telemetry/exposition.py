"""The text that Prometheus reads, made in slices: a whole scrape would hold up polls for milliseconds."""

from collections.abc import Generator, Iterable

from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class _One(Collector):
    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterable[Metric]:
        return (self._family,)


def exposition(families: Iterable[Metric]) -> Generator[None, None, bytes]:
    """The families in the exposition format. One may come in pieces, one after the other."""
    parts: list[bytes] = []
    name = None
    for family in families:
        text = generate_latest(_One(family))
        if family.name == name:
            _help, _type, text = text.split(b"\n", 2)
        parts.append(text)
        name = family.name
        yield
    return b"".join(parts)
