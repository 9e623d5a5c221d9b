"""A stand-in for Elasticsearch or OpenSearch: what they answer about names, and what a removal does, wildcards and all."""

import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from tests.services.http_stand_in import Reply, Request, StandIn


class Kept(NamedTuple):
    """An index."""

    aliases: Mapping[str, bool | None] = {}
    """With what each says of ``is_write_index``."""

    state: str = "open"
    hidden: bool = False
    data_stream: str | None = None


class ElasticsearchStandIn(StandIn):
    """Keeps the names of indices. Without ``expand_wildcards=none`` it removes whatever a wildcard matches, as the real one."""

    def __init__(self, names: Iterable[str] = (), **indices: Kept) -> None:
        super().__init__(self._respond)
        self.indices: dict[str, Kept] = {**dict.fromkeys(names, Kept()), **indices}
        self.data_streams: set[str] = set()
        self.version: dict[str, str] = {"number": "3.3.2", "distribution": "opensearch"}
        self.clock = 4_000_000_000
        """Far ahead, so that the other clocks count."""
        self.refused: dict[str, Reply] = {}
        """What is answered to the removal of an index, instead of removing it."""
        self.may_remove = threading.Event()
        """While it is not set, a removal waits."""
        self.may_remove.set()
        self.removing = threading.Event()
        """Set when a removal has come in."""

    @property
    def removals(self) -> list[str]:
        """The paths of all removals, as they were asked for."""
        return [request.path for request in self.requests if request.method == "DELETE"]

    def stop(self) -> None:
        self.may_remove.set()
        super().stop()

    def _respond(self, request: Request) -> Reply:
        parts = urlsplit(request.path)
        path, query = parts.path.split("/")[1:], parse_qs(parts.query)
        wildcards = query.get("expand_wildcards", ["open"])[0].split(",")
        match request.method, path:
            case "GET", [""]:
                return _json({"name": "stand-in", "cluster_name": "tests", "version": self.version})
            case "GET", ["_cluster", "health"]:
                return _json({"status": "yellow"})
            case "GET", ["_cat", "health"]:
                return _json([{"epoch": str(self.clock)}])
            case "GET", ["_resolve", "index", expression]:
                return _json(self._resolved(unquote(expression), wildcards))
            case "GET", ["_alias", alias]:
                return self._alias(unquote(alias))
            case "DELETE", [expression] if expression:
                return self._remove(unquote(expression), wildcards)
        return _json({"error": f"no handler found for uri [{request.path}]"}, 400)

    def _matching(self, expression: str, wildcards: list[str]) -> Iterator[str]:
        for name, index in self.indices.items():
            is_expanded = "none" not in wildcards and index.state in wildcards and (not index.hidden or "hidden" in wildcards)
            if name == expression or (is_expanded and fnmatchcase(name, expression)):
                yield name

    def _resolved(self, expression: str, wildcards: list[str]) -> dict[str, Any]:
        found = [name for part in expression.split(",") for name in self._matching(part, wildcards)]
        aliases = {alias for index in self.indices.values() for alias in index.aliases if fnmatchcase(alias, expression)}
        return {
            "indices": [_described(name, self.indices[name]) for name in sorted(found)],
            "aliases": [{"name": alias, "indices": self._indices_of(alias)} for alias in sorted(aliases)],
            "data_streams": [
                {"name": name, "backing_indices": [], "timestamp_field": "@timestamp"}
                for name in sorted(self.data_streams)
                if fnmatchcase(name, expression)
            ],
        }

    def _indices_of(self, alias: str) -> list[str]:
        return sorted(name for name, index in self.indices.items() if alias in index.aliases)

    def _alias(self, alias: str) -> Reply:
        names = self._indices_of(alias)
        if not names:
            return _json({"error": f"alias [{alias}] missing", "status": 404}, 404)
        said = {name: self.indices[name].aliases[alias] for name in names}
        return _json(
            {
                name: {"aliases": {alias: {} if is_write is None else {"is_write_index": is_write}}}
                for name, is_write in said.items()
            }
        )

    def _remove(self, expression: str, wildcards: list[str]) -> Reply:
        self.removing.set()
        self.may_remove.wait(60)
        if expression in self.refused:
            return self.refused[expression]
        for part in expression.split(","):
            found = list(self._matching(part, wildcards))
            if not found and self._indices_of(part):
                reason = (
                    f"The provided expression [{part}] matches an alias, specify the corresponding concrete indices instead."
                )
                return failure(400, "illegal_argument_exception", reason)
            if not found:
                return failure(404, "index_not_found_exception", f"no such index [{part}]")
            for name in found:
                del self.indices[name]
        return _json({"acknowledged": True})


def failure(status: int, kind: str, reason: str) -> Reply:
    """As the real one tells what it will not do."""
    error = {"type": kind, "reason": reason}
    return _json({"error": {"root_cause": [error], **error}, "status": status}, status)


def _described(name: str, index: Kept) -> dict[str, Any]:
    attributes = [index.state, *(["hidden"] if index.hidden else [])]
    aliases = {"aliases": sorted(index.aliases)} if index.aliases else {}
    stream = {"data_stream": index.data_stream} if index.data_stream else {}
    return {"name": name, **aliases, "attributes": attributes, **stream}


def _json(document: object, status: int = 200) -> Reply:
    return Reply(status, json.dumps(document).encode())
