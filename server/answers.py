"""The poll path: request bytes in, response bytes out, from memory. No I/O, no await, no clock, no log line."""

import secrets
from collections import OrderedDict
from collections.abc import Iterable
from typing import Literal, NamedTuple

from google.protobuf.message import DecodeError

from sampling.catalog import Catalog
from sampling.encode import encode_json, encode_protobuf
from sampling.pb.jaeger.api_v2.sampling_pb2 import SamplingStrategyParameters
from server.polled import Polled, remember
from server.polls.query import SERVICE_ONCE, service_names

MAX_NAME_BYTES = 2048
"""Longest service name that is answered, in UTF-8 bytes."""

STRANGERS = 10_000
"""How many names without a record of their own are remembered."""

SPARE = 1_000
"""So many more are remembered for a while, where all were polled lately."""

LET_GO_AT_ONCE = 16

SHARED = 10_000
"""How many different answers are kept for sharing between names."""

Protocol = Literal["grpc", "http"]
Outcome = Literal["answered", "bad_request", "unavailable"]


class BadPoll(Exception):
    """Is raised when a request cannot be understood: 400 or ``INVALID_ARGUMENT``. The message is for the client."""


class NotReady(Exception):
    """Is raised while nothing is loaded: 503 or ``UNAVAILABLE``, and clients keep what they have. A guess would replace it."""

    def __init__(self) -> None:
        super().__init__("no configuration is loaded yet; keep your strategy and ask again")


class CacheCounts(NamedTuple):
    """What became of polls and of remembered names since the start."""

    hits: int
    """Polls that were answered from memory as it stood."""

    misses: int
    """Polls whose answer had to be made, and was put into memory."""

    evictions: int
    """Names that were let go to make room for others."""


class Answers:
    """Answers to polls, kept by request bytes. One method for each form in which a request comes."""

    def __init__(self) -> None:
        self._catalog: Catalog | None = None
        self._generation = 0
        # Two dicts: bytes can be both a query string and a message, of two different services.
        self._by_frame: dict[bytes, Polled] = {}
        self._by_query: dict[bytes, Polled] = {}
        self._by_name: dict[str, Polled] = {}
        # A plain dict is slow to find its first key after many were taken from its front.
        self._configured: OrderedDict[str, Polled] = OrderedDict()
        self._strangers: OrderedDict[str, Polled] = OrderedDict()
        self._shared: dict[bytes, bytes] = {}
        self.totals: dict[tuple[Protocol, Outcome], int] = {
            (protocol, outcome): 0 for protocol in ("grpc", "http") for outcome in ("answered", "bad_request", "unavailable")
        }
        """Polls since the start, without those that the two counters below hold."""
        self._grpc_answered = 0
        self._http_answered = 0
        self._misses = 0
        self._evictions = 0
        self.own_name = f"tracing-config-{secrets.token_hex(16)}"
        """The name by which the server polls itself: such polls are answered anew each time, not counted and not remembered.
        Nobody else knows it."""

    @property
    def ready(self) -> bool:
        """Whether polls are answered."""
        return self._catalog is not None

    def polls(self) -> dict[tuple[Protocol, Outcome], int]:
        """Polls since the start by protocol and outcome; for the metrics."""
        totals = dict(self.totals)
        totals["grpc", "answered"] += self._grpc_answered
        totals["http", "answered"] += self._http_answered
        return totals

    @property
    def cache(self) -> CacheCounts:
        """For the metrics. Hits are what is left of the answered polls: to count them would cost each one."""
        polls = self.polls()
        answered = polls["grpc", "answered"] + polls["http", "answered"]
        return CacheCounts(answered - self._misses, self._misses, self._evictions)

    def names(self) -> list[str]:
        """The names that were polled lately: those whose answers are remembered."""
        return list(self._by_name)

    def serve(self, catalog: Catalog, changed: Iterable[str] | None = None) -> None:
        """Answer from this catalog from now on. ``changed`` names the only services whose answer may differ; None: all."""
        self._catalog = catalog
        if changed is None:
            self._generation += 1
            self._shared = {}
        else:
            for name in changed:
                if (polled := self._by_name.get(name)) is not None:
                    polled.framed = polled.json = None
                    self._configured.pop(name, None)
                    self._strangers.pop(name, None)
                    self._keep(catalog, polled)

    def framed(self, body: bytes) -> bytes | None:
        """A gRPC body with its five bytes of frame, to another. None: not one plain message, ask the full implementation.

        Raises:
            BadPoll: the message is cut off, cannot be parsed, or its name is too long.
            NotReady: nothing is loaded.
        """
        polled = self._by_frame.get(body)
        if polled is not None and polled.generation == self._generation and (response := polled.framed) is not None:
            polled.recent = True
            self._grpc_answered += 1
            return response
        size = len(body) - 5
        promised = int.from_bytes(body[1:5], "big")
        if size < 0 or size < promised:
            self.totals["grpc", "bad_request"] += 1
            raise BadPoll("the body ends within its message")
        return None if body[0] or size > promised else self._answer_grpc(body)

    def message(self, message: bytes) -> bytes:
        """A ``SamplingStrategyParameters`` message to a ``SamplingStrategyResponse`` message; raises as ``framed``."""
        return (self.framed(_frame(message)) or b"")[5:]

    def json(self, query: bytes) -> bytes:
        """The query string of an HTTP poll to Jaeger's JSON.

        Raises:
            BadPoll: ``service`` is not given exactly once, or is too long.
            NotReady: nothing is loaded.
        """
        polled = self._by_query.get(query)
        if polled is not None and polled.generation == self._generation and (response := polled.json) is not None:
            polled.recent = True
            self._http_answered += 1
            return response
        names = service_names(query)
        if len(names) != 1:
            self.totals["http", "bad_request"] += 1
            raise BadPoll(SERVICE_ONCE)
        return self._answer_http(query, names[0])

    def _answer_grpc(self, body: bytes) -> bytes:
        try:
            name = SamplingStrategyParameters.FromString(body[5:]).serviceName
        except DecodeError:
            self.totals["grpc", "bad_request"] += 1
            raise BadPoll("the body is no jaeger.api_v2.SamplingStrategyParameters message") from None
        if name == self.own_name and self._catalog is not None:
            return _frame(encode_protobuf(self._catalog.resolve(name)))
        catalog, polled = self._polled("grpc", name)
        if polled.framed is None:
            polled.framed = self._share(_frame(encode_protobuf(catalog.resolve(name))))
            self._misses += 1
        polled.frames = remember(self._by_frame, polled.frames, body, polled)
        self._grpc_answered += 1
        return polled.framed

    def _answer_http(self, query: bytes, name: str) -> bytes:
        if name == self.own_name and self._catalog is not None:
            return encode_json(self._catalog.resolve(name))
        catalog, polled = self._polled("http", name)
        if polled.json is None:
            polled.json = self._share(encode_json(catalog.resolve(name)))
            self._misses += 1
        polled.queries = remember(self._by_query, polled.queries, query, polled)
        self._http_answered += 1
        return polled.json

    def _polled(self, protocol: Protocol, name: str) -> tuple[Catalog, Polled]:
        if len(name) > MAX_NAME_BYTES or len(name.encode(errors="surrogateescape")) > MAX_NAME_BYTES:
            self.totals[protocol, "bad_request"] += 1
            raise BadPoll(f"the service name is longer than {MAX_NAME_BYTES} bytes")
        catalog = self._catalog
        if catalog is None:
            self.totals[protocol, "unavailable"] += 1
            raise NotReady
        polled = self._by_name.get(name)
        if polled is None:
            polled = self._by_name[name] = Polled(name, self._generation)
            self._keep(catalog, polled)
        elif polled.generation != self._generation:
            polled.generation = self._generation
            polled.framed = polled.json = None
        polled.recent = True
        return catalog, polled

    def _keep(self, catalog: Catalog, polled: Polled) -> None:
        """Remember a name among its like, in place of the longest unpolled where there are too many."""
        if catalog.is_configured(polled.name):
            ring, capacity = self._configured, catalog.configured
        else:
            ring, capacity = self._strangers, STRANGERS
        self._make_room(ring, capacity)
        ring[polled.name] = polled

    def _make_room(self, ring: OrderedDict[str, Polled], capacity: int) -> None:
        """Let go of the longest unpolled: a clock, which costs a poll one attribute and no reordering.

        A few at a time, also where very many are too many since their records were deleted: polls wait meanwhile.
        """
        for _ in range(LET_GO_AT_ONCE):
            if len(ring) < capacity or not ring:
                return
            _, polled = ring.popitem(last=False)
            if polled.recent and len(ring) < capacity + SPARE:
                polled.recent = False
                ring[polled.name] = polled
            else:
                self._forget(polled)
                self._evictions += 1

    def _forget(self, polled: Polled) -> None:
        del self._by_name[polled.name]
        self._configured.pop(polled.name, None)
        self._strangers.pop(polled.name, None)
        for body in polled.frames:
            del self._by_frame[body]
        for query in polled.queries:
            del self._by_query[query]

    def _share(self, response: bytes) -> bytes:
        """One object for equal answers: most names share theirs."""
        if len(self._shared) >= SHARED:
            self._shared = {}
        return self._shared.setdefault(response, response)


def _frame(message: bytes) -> bytes:
    """A message as gRPC sends it: uncompressed, its length before it."""
    return b"\0" + len(message).to_bytes(4, "big") + message
