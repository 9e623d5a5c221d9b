"""Elasticsearch and OpenSearch, as far as old traces are concerned: what is there, and away with one index."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import msgspec

from server.integrations.http_client import Answer, HttpClient, Unusable, json_object, segment, shown
from server.integrations.trace_indices import Index, Listing, TraceIndices

WHAT = "Elasticsearch or OpenSearch"

OLDEST = (7, 9)
"""The first Elasticsearch that lists names, aliases and data streams together; every OpenSearch does."""

LIST_SECONDS = 5.0

LIST_LIMIT = 1024 * 1024
"""Bytes of a list of indices: some thousands."""

REMOVE_SECONDS = 15.0
"""A removal is a change of the cluster's state, which every node has to take: seconds where it is busy."""

BLOCKED = "cluster_block_exception"
"""A 403 of this type is of one index that somebody made read-only; every other is about us."""

_EVERYTHING = "expand_wildcards=open,closed,hidden"
_EXACTLY = "expand_wildcards=none&ignore_unavailable=false&allow_no_indices=false"

Name = Annotated[str, msgspec.Meta(max_length=255)]
Parsed = TypeVar("Parsed")


class NotRemoved(Exception):
    """Is raised where the server answers that it does not remove this index. The text is its reason."""


class _Index(msgspec.Struct):
    name: Name
    aliases: list[Name] = []
    data_stream: Name | None = None


class _Named(msgspec.Struct):
    name: Name


class _Resolved(msgspec.Struct):
    indices: list[_Index]
    aliases: list[_Named]
    data_streams: list[_Named]


class _AliasOfIndex(msgspec.Struct):
    is_write_index: bool | None = None


class _IndexOfAlias(msgspec.Struct):
    aliases: dict[Name, _AliasOfIndex]


class _Clock(msgspec.Struct):
    epoch: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,12}\Z")]


class _Acknowledged(msgspec.Struct):
    acknowledged: bool


class _Error(msgspec.Struct):
    type: str
    reason: str = ""


class _Failed(msgspec.Struct):
    error: _Error


class Elasticsearch:
    """A client. Every method raises Unusable where there is no answer in time, or one that makes no sense."""

    def __init__(self, url: str, names: TraceIndices) -> None:
        """``names``: no index of another name is ever removed."""
        self._http = HttpClient(url)
        self._names = names
        self.url = self._http.url

    async def close(self) -> None:
        await self._http.close()

    async def check(self) -> Mapping[str, Any]:
        """Version and state of the cluster, for health. A red cluster can be used: it is shown, and no problem of ours."""
        about = json_object(await self._http.request("GET", "/"), WHAT)
        version = about.get("version")
        number = version.get("number") if isinstance(version, dict) else None
        if not isinstance(version, dict) or not isinstance(number, str):
            raise Unusable(f"this is no {WHAT}: it tells no version")
        distribution = str(version.get("distribution", "elasticsearch"))[:40]
        found = re.match(r"([0-9]{1,4})\.([0-9]{1,4})", number)
        if distribution == "elasticsearch" and found and (int(found[1]), int(found[2])) < OLDEST:
            raise Unusable(f"this is Elasticsearch {number[:40]}", "7.9 or newer is needed, or any OpenSearch")
        health = json_object(await self._http.request("GET", "/_cluster/health?filter_path=status"), WHAT)
        return {"version": number[:40], "distribution": distribution, "clusterStatus": str(health.get("status"))[:40]}

    async def clock(self) -> float:
        """The wall clock of the node that answers, seconds since the epoch."""
        [told] = _read(await self._http.request("GET", "/_cat/health?format=json&h=epoch"), tuple[_Clock])
        return float(told.epoch)

    async def listing(self, pattern: str) -> Listing:
        """What there is under a name with one wildcard, closed and hidden indices too."""
        path = f"/_resolve/index/{segment(pattern)}?{_EVERYTHING}"
        found = _read(await self._http.request("GET", path, seconds=LIST_SECONDS, limit=LIST_LIMIT), _Resolved)
        return Listing(
            [Index(one.name, one.aliases, one.data_stream) for one in found.indices],
            [one.name for one in found.aliases],
            [one.name for one in found.data_streams],
        )

    async def write_index(self, alias: str) -> str | None:
        """The index that an alias writes to: the one that is said to be it, else the only one."""
        answer = await self._http.request(
            "GET", f"/_alias/{segment(alias)}", accepted=(200, 404), seconds=LIST_SECONDS, limit=LIST_LIMIT
        )
        if answer.status == 404:
            return None
        found = _read(answer, dict[Name, _IndexOfAlias])
        writable = {name: index.aliases[alias].is_write_index for name, index in found.items() if alias in index.aliases}
        said = [name for name, is_write_index in writable.items() if is_write_index]
        if not said and len(writable) == 1:
            said = [name for name, is_write_index in writable.items() if is_write_index is None]
        return said[0] if said else None

    async def remove(self, name: str, seconds: float = REMOVE_SECONDS) -> None:
        """Remove exactly this index. One that is not there any more counts as removed.

        Raises:
            ValueError: this is no daily index of traces. Nothing was asked of the server.
            NotRemoved: the server refuses it.
        """
        if self._names.day(name) is None:
            raise ValueError(f"{name!r} is no daily index of traces")
        path = f"/{segment(name)}?{_EXACTLY}"
        answer = await self._http.request("DELETE", path, accepted=(200, 400, 403, 404, 409), seconds=seconds)
        if answer.status == 200:
            if not _read(answer, _Acknowledged).acknowledged:
                raise NotRemoved("not every node has taken it in time; it may be removed yet")
            return
        error = _read(answer, _Failed).error
        if answer.status == 403 and error.type != BLOCKED:
            problem = shown(f"{self.url} answers 403: {error.type}: {error.reason}")
            raise Unusable(problem, "let the user in the address remove these indices: `delete_index`")
        if answer.status != 404 or error.type != "index_not_found_exception":
            raise NotRemoved(shown(f"{error.type}: {error.reason}"))


def _read(answer: Answer, kind: type[Parsed]) -> Parsed:
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except (ValueError, RecursionError):
        raise Unusable(f"this is no {WHAT}: it answers {answer.status} with something else than it should") from None
