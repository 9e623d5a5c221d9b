"""``/actuator/metrics`` in the shape of Spring's actuator."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec
from aiohttp import web

from server.sidecar.configuration import json_response
from server.sidecar.errors import InvalidField, Problem
from server.sidecar.meters import Measured, Meter, Statistic, meters
from server.sidecar.requests import Query
from server.sidecar.route import Call, Route, Routes


class MetricNames(msgspec.Struct, frozen=True):
    """The metrics that there are here."""

    names: Sequence[str]


class Measurement(msgspec.Struct, frozen=True):
    """One value; durations are in seconds."""

    statistic: Statistic
    value: float


class AvailableTag(msgspec.Struct, frozen=True):
    """A tag that can be asked by, with the values that occurred."""

    tag: str
    values: Sequence[str]


class Metric(msgspec.Struct, frozen=True, rename="camel"):
    """What was measured, over all values of the tags that were not asked by."""

    name: str
    description: str
    base_unit: str | None
    measurements: Sequence[Measurement]
    available_tags: Sequence[AvailableTag]


class TagQuery(Query, frozen=True):
    """Of one metric."""

    tag: Annotated[
        tuple[str, ...],
        msgspec.Meta(
            description="Only what was measured with this value of a tag, as `key:value`. May be given once for each key.",
            examples=[["result:hit"]],
        ),
    ] = ()


async def names(call: Call[None, None]) -> web.Response:
    return json_response(MetricNames(list(meters(call.parts))))


async def metric(call: Call[TagQuery, None]) -> web.Response:
    """COUNT and TOTAL_TIME are since the start of the process, MAX is that of the last two minutes."""
    name = call.request.match_info["metric"]
    meter = meters(call.parts).get(name)
    if meter is None:
        raise Problem(404, "not-found", f"there is no metric {name!r} here; GET /actuator/metrics names those that there are")
    asked, measured = _asked(meter, call.query.tag), list(meter.read(call.parts))
    for key, value in asked.items():
        occurred = _occurred(measured, key)
        measured = [one for one in measured if one.tags[key] == value]
        if not measured:
            detail = f"tag: nothing was measured with {key} {value!r}; there is: {', '.join(occurred) or 'nothing'}"
            raise Problem(404, "not-found", detail)
    return json_response(
        Metric(
            name,
            meter.description,
            meter.unit,
            [
                _measurement(statistic, [one.values[index] for one in measured])
                for index, statistic in enumerate(meter.statistics)
            ],
            [AvailableTag(key, _occurred(measured, key)) for key in meter.tags if key not in asked],
        )
    )


def _measurement(statistic: Statistic, values: Sequence[float]) -> Measurement:
    return Measurement(statistic, float(max(values, default=0) if statistic == "MAX" else sum(values)))


def _asked(meter: Meter, tags: Sequence[str]) -> Mapping[str, str]:
    asked: dict[str, str] = {}
    for tag in tags:
        key, colon, value = tag.partition(":")
        if not colon:
            raise InvalidField("tag", "must be `key:value`", 400)
        if key not in meter.tags:
            raise InvalidField("tag", f"{key!r} is no tag of {meter.name}, which has: {', '.join(meter.tags) or 'none'}", 400)
        if key in asked:
            raise InvalidField("tag", f"{key!r} is given more than once", 400)
        asked[key] = value
    return asked


def _occurred(measured: Sequence[Measured], key: str) -> Sequence[str]:
    return sorted({one.tags[key] for one in measured})


ROUTES: Routes = [
    Route(
        method="GET",
        path="/actuator/metrics",
        summary="The names of the metrics",
        handler=names,
        role=None,
        answers={200: MetricNames},
    ),
    Route(
        method="GET",
        path="/actuator/metrics/{metric}",
        summary="One metric",
        handler=metric,
        role=None,
        query=TagQuery,
        answers={200: Metric},
    ),
]
