"""The text that Prometheus reads, made in slices: a whole scrape would hold up polls for milliseconds."""

from collections.abc import Generator, Iterable

from prometheus_client.core import Metric
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(families: Iterable[Metric]) -> Generator[None, None, bytes]:
    """The families in the exposition format (github.com/prometheus/docs, instrumenting/exposition_formats).

    A family may come in pieces, one after the other. The library's own function takes twice as long, all at once.
    """
    parts: list[str] = []
    name = None
    for family in families:
        if family.name != name:
            name = family.name
            parts.append(_head(family))
        parts.extend(map(_line, family.samples))
        yield
    return "".join(parts).encode()


def _head(family: Metric) -> str:
    name = f"{family.name}_total" if family.type == "counter" else family.name
    return f"# HELP {name} {_escaped(family.documentation)}\n# TYPE {name} {family.type}\n"


def _line(sample: Sample) -> str:
    value: str = floatToGoString(sample.value)  # type: ignore[no-untyped-call]
    if not sample.labels:
        return f"{sample.name} {value}\n"
    labels = ",".join([f'{key}="{_escaped(of, quotes=True)}"' for key, of in sorted(sample.labels.items())])
    return f"{sample.name}{{{labels}}} {value}\n"


def _escaped(text: str, *, quotes: bool = False) -> str:
    text = text.replace("\\", r"\\").replace("\n", r"\n")
    return text.replace('"', r"\"") if quotes else text
