"""Answers: what is remembered, what is forgotten, and that neither shows."""

import tracemalloc
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampling.catalog import Catalog
from sampling.pb.jaeger.api_v2.sampling_pb2 import SamplingStrategyParameters, SamplingStrategyResponse
from sampling.records import Change, Key, ServiceConfiguration, Stored, encode_record
from sampling.strategy import EffectiveStrategy, OperationStrategy, SamplingStrategy
from server.answers import LET_GO_AT_ONCE, SPARE, STRANGERS, Answers, BadPoll, NotReady
from server.polled import SPELLINGS

SEVEN = SamplingStrategy("ratelimiting", 7)
EIGHT = SamplingStrategy("ratelimiting", 8)
SEVEN_JSON = b'{"strategyType":"RATE_LIMITING","rateLimitingSampling":{"maxTracesPerSecond":7}}'


class Resolving(Catalog):
    """A catalog that tells which names it was asked for: those that were not remembered."""

    def __init__(self, services: Iterable[str] = ()) -> None:
        super().__init__()
        self.resolved: list[str] = []
        for name in services:
            self.configure(name, SEVEN)

    def configure(self, name: str, strategy: SamplingStrategy, *operations: OperationStrategy) -> None:
        record = Stored(1, "0" * 32, encode_record(ServiceConfiguration(strategy, operations)))
        self.apply([Change(Key("service", name), record)])

    def resolve(self, name: str) -> EffectiveStrategy:
        self.resolved.append(name)
        return super().resolve(name)


def serving(catalog: Catalog) -> Answers:
    answers = Answers()
    answers.serve(catalog)
    return answers


def frame(message: bytes) -> bytes:
    return b"\0" + len(message).to_bytes(4, "big") + message


def body(name: str, unknown: bytes = b"") -> bytes:
    """A gRPC poll, with bytes of unknown fields at its end."""
    return frame(SamplingStrategyParameters(serviceName=name).SerializeToString() + unknown)


def limit(answer: bytes | None) -> int:
    """The rate limit of a gRPC answer."""
    assert answer is not None
    return SamplingStrategyResponse.FromString(answer[5:]).rateLimitingSampling.maxTracesPerSecond


def test_an_answer_is_made_once_for_each_protocol() -> None:
    catalog = Resolving(["shop"])
    answers = serving(catalog)

    for _ in range(3):
        assert answers.framed(body("shop")) == frame(bytes.fromhex("08011a020807"))
        assert answers.json(b"service=shop") == SEVEN_JSON

    assert catalog.resolved == ["shop", "shop"]


def test_a_poll_that_needs_its_answer_made_is_a_miss_and_any_other_a_hit() -> None:
    catalog = Resolving(["shop"])
    answers = serving(catalog)
    for query in (b"service=shop", b"service=shop&x=1", b"service=shop", b"service=other", b"service="):
        answers.json(query)
    answers.framed(body("shop"))
    answers.message(body("shop")[5:])
    with pytest.raises(BadPoll):
        answers.json(b"")
    assert answers.cache == (3, 4, 0)
    answers.serve(catalog, ["shop"])
    answers.json(b"service=shop")
    answers.json(b"service=other")
    assert answers.cache == (4, 5, 0)
    answers.serve(catalog)
    answers.json(b"service=other")
    assert answers.cache == (4, 6, 0)


def test_a_message_without_its_frame_gets_the_answer_without_its_frame() -> None:
    answers = serving(Resolving(["shop"]))

    assert answers.message(body("shop")[5:]) == bytes.fromhex("08011a020807")


def test_equal_answers_of_different_names_are_one_object() -> None:
    answers = serving(Resolving(["shop", "bank"]))

    assert answers.framed(body("shop")) is answers.framed(body("bank"))
    assert answers.json(b"service=shop") is answers.json(b"service=bank")
    assert answers.json(b"service=other") is answers.json(b"service=another")


def test_every_spelling_of_a_name_gets_its_answer_and_makes_it_no_second_time() -> None:
    catalog = Resolving(["shop"])
    answers = serving(catalog)

    for number in range(3 * SPELLINGS):
        assert answers.json(b"service=shop&x=%d" % number) == SEVEN_JSON
        assert limit(answers.framed(body("shop", b"\x10" + bytes((number,))))) == 7

    assert catalog.resolved == ["shop", "shop"]


def test_spellings_of_one_name_do_not_pile_up() -> None:
    answers = serving(Resolving(["shop"]))
    answers.json(b"service=shop")
    tracemalloc.start()
    try:
        for number in range(10_000):
            answers.json(b"service=shop&x=%d" % number)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert kept < 20_000


def test_large_requests_do_not_fill_the_memory() -> None:
    answers = serving(Resolving(["shop"]))
    tracemalloc.start()
    try:
        for number in range(1000):
            padding = b"\x12" + b"\x80\x80\x02" + number.to_bytes(2, "big") * 16384  # An unknown field of 32 KiB.
            assert limit(answers.framed(body(f"name-{number}", padding))) == 0
            answers.json(f"service=name-{number}&padding={'x' * 32768}".encode())
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used < 4 * 2**20


def test_names_without_a_record_are_forgotten_when_there_are_too_many_the_longest_unpolled_first() -> None:
    catalog = Resolving()
    answers = serving(catalog)
    for number in range(STRANGERS):
        answers.json(b"service=%d" % number)
    catalog.resolved.clear()
    for number in range(2 * STRANGERS):
        answers.json(b"service=newer-%d" % number)
        if number % 100 == 0:
            answers.json(b"service=5000")
        assert number % 500 or len(answers.names()) <= STRANGERS + SPARE

    assert answers.cache.evictions == 3 * STRANGERS - len(answers.names())
    assert "5000" not in catalog.resolved
    catalog.resolved.clear()
    answers.json(b"service=4999")
    assert catalog.resolved == ["4999"]


def test_very_many_records_that_are_deleted_at_once_are_let_go_of_a_few_at_a_time() -> None:
    names = [f"s{number}" for number in range(3 * SPARE)]
    catalog = Resolving(names)
    answers = serving(catalog)
    for name in names:
        answers.json(f"service={name}".encode())
    catalog.apply([Change(Key("service", name), None) for name in names[10:]])
    answers.serve(catalog)
    remembered = len(answers.names())
    while remembered > 2 * SPARE:
        answers.serve(catalog, ["s1"])
        answers.json(b"service=s1")
        assert 0 < remembered - len(answers.names()) <= LET_GO_AT_ONCE
        remembered = len(answers.names())


def test_names_with_a_record_are_not_forgotten_for_those_without() -> None:
    catalog = Resolving(["shop"])
    answers = serving(catalog)
    answers.json(b"service=shop")
    for number in range(2 * STRANGERS):
        answers.json(b"service=%d" % number)
    catalog.resolved.clear()

    answers.json(b"service=shop")

    assert catalog.resolved == []


def test_a_change_of_some_names_makes_those_answers_anew_and_no_other() -> None:
    catalog = Resolving(["shop", "bank"])
    answers = serving(catalog)
    for name in ("shop", "bank", "other"):
        answers.framed(body(name))
        answers.json(f"service={name}".encode())
    catalog.resolved.clear()

    catalog.configure("shop", EIGHT)
    answers.serve(catalog, ["shop", "never polled"])

    assert limit(answers.framed(body("shop"))) == 8
    assert answers.json(b"service=shop") == SEVEN_JSON.replace(b"7", b"8")
    assert limit(answers.framed(body("bank"))) == 7
    answers.json(b"service=bank")
    answers.json(b"service=other")
    assert catalog.resolved == ["shop", "shop"]


def test_a_name_is_still_one_that_was_polled_lately_when_its_record_comes_or_goes() -> None:
    catalog = Resolving(["shop"])
    answers = serving(catalog)
    for name in ("shop", "other"):
        answers.json(f"service={name}".encode())
    catalog.configure("other", EIGHT)
    catalog.apply([Change(Key("service", "shop"), None)])
    answers.serve(catalog, ["shop", "other"])
    assert sorted(answers.names()) == ["other", "shop"]


def test_a_change_of_everything_makes_every_answer_anew() -> None:
    answers = serving(Resolving(["shop", "bank"]))
    for name in ("shop", "bank"):
        answers.framed(body(name))
        answers.json(f"service={name}".encode())
    changed = Resolving(["shop"])
    changed.configure("bank", EIGHT)

    answers.serve(changed)

    assert (limit(answers.framed(body("shop"))), limit(answers.framed(body("bank")))) == (7, 8)
    assert answers.json(b"service=bank") == SEVEN_JSON.replace(b"7", b"8")
    assert changed.resolved == ["shop", "bank", "bank"]


def test_a_name_that_gets_a_record_and_loses_it_is_answered_right_each_time() -> None:
    catalog = Resolving()
    answers = serving(catalog)
    default = answers.json(b"service=shop")

    catalog.configure("shop", SEVEN)
    answers.serve(catalog, ["shop"])
    assert answers.json(b"service=shop") == SEVEN_JSON
    catalog.apply([Change(Key("service", "shop"), None)])
    answers.serve(catalog, ["shop"])
    assert answers.json(b"service=shop") == default
    catalog.configure("shop", SEVEN)
    answers.serve(catalog)
    assert answers.json(b"service=shop") == SEVEN_JSON


@pytest.mark.parametrize("grpc_first", [True, False])
def test_bytes_that_mean_one_service_in_grpc_and_another_in_http_never_mix(grpc_first: bool) -> None:
    # To gRPC an empty name and an unknown field, to HTTP the service "xyzt" and another parameter.
    both = body("", b"\x12\x0d&service=xyzt")
    catalog = Resolving(["xyzt"])
    catalog.configure("", EIGHT)
    answers = serving(catalog)
    # Both names have both answers.
    answers.json(b"service=")
    answers.framed(body("xyzt"))

    if grpc_first:
        assert limit(answers.framed(both)) == 8
    for _ in range(2):
        assert answers.json(both) == SEVEN_JSON
        assert limit(answers.framed(both)) == 8


def test_a_message_that_is_a_query_string_too_does_not_change_http_answers() -> None:
    message = b"service=xyzt"
    answers = serving(Resolving(["xyzt"]))

    for _ in range(2):
        assert answers.message(message) == answers.message(b"")
        assert answers.json(message) == SEVEN_JSON


@pytest.mark.parametrize("bad", [b"", b"\0", b"\0\0\0\0", b"\0\0\0\0\x01", b"\1\0\0\0\x02x", b"\0\xff\xff\xff\xff" + b"x" * 99])
def test_a_frame_that_is_cut_off_is_a_bad_poll(bad: bytes) -> None:
    with pytest.raises(BadPoll, match="ends within its message"):
        serving(Catalog()).framed(bad)


@pytest.mark.parametrize("other", [b"\1" + body("shop")[1:], 2 * body("shop"), body("shop") + b"x"])
def test_what_is_compressed_or_more_than_one_message_is_for_others(other: bytes) -> None:
    answers = serving(Catalog())

    assert answers.framed(other) is None
    assert sum(answers.polls().values()) == 0


@pytest.mark.parametrize("message", [b"\xff", b"\x0a\x05shop", b"\x0a\x01\xff"])
def test_what_is_no_message_is_a_bad_poll(message: bytes) -> None:
    with pytest.raises(BadPoll, match=r"no jaeger\.api_v2\.SamplingStrategyParameters message"):
        serving(Catalog()).framed(frame(message))


@pytest.mark.parametrize("name", ["n" * 2049, "ü" * 1025, "\0" * 2049])
def test_a_name_of_more_than_2048_bytes_is_a_bad_poll_and_is_not_remembered(name: str) -> None:
    answers = serving(Catalog())

    for _ in range(2):
        with pytest.raises(BadPoll, match="2048 bytes"):
            answers.framed(body(name))
        with pytest.raises(BadPoll, match="2048 bytes"):
            answers.json(b"service=" + name.encode())

    assert answers.polls()["grpc", "bad_request"] == answers.polls()["http", "bad_request"] == 2


def test_until_something_is_loaded_no_poll_is_answered() -> None:
    answers = Answers()
    ready_before = answers.ready

    with pytest.raises(NotReady):
        answers.framed(body("shop"))
    with pytest.raises(NotReady):
        answers.json(b"service=shop")

    answers.serve(Resolving(["shop"]))

    assert (ready_before, answers.ready) == (False, True)
    assert limit(answers.framed(body("shop"))) == 7


def test_every_poll_is_counted_once_whether_remembered_or_not() -> None:
    answers = Answers()
    with pytest.raises(NotReady):
        answers.framed(body("shop"))
    with pytest.raises(NotReady):
        answers.json(b"service=shop")
    answers.serve(Resolving(["shop"]))
    for _ in range(3):
        answers.framed(body("shop"))
        answers.message(body("other")[5:])
        answers.json(b"service=shop")
    for bad in (b"", b"service=%zz"):
        with pytest.raises(BadPoll):
            answers.json(bad)
    with pytest.raises(BadPoll):
        answers.framed(b"")
    answers.framed(2 * body("shop"))

    assert answers.polls() == {
        ("grpc", "answered"): 6,
        ("grpc", "bad_request"): 1,
        ("grpc", "unavailable"): 1,
        ("http", "answered"): 3,
        ("http", "bad_request"): 2,
        ("http", "unavailable"): 1,
    }


steps = st.lists(
    st.tuples(st.sampled_from(["poll", "poll", "poll", "change", "change all"]), st.sampled_from("abcd"), st.integers(0, 3)),
    max_size=40,
)


@given(steps)
def test_in_any_order_of_polls_and_changes_an_answer_is_that_of_its_catalog(steps: list[tuple[str, str, int]]) -> None:
    catalog = Resolving()
    answers = serving(catalog)
    for step, name, number in steps:
        if step == "poll":
            spelling = f"service={name}&{number}".encode()
            fresh = serving(catalog)
            assert answers.json(spelling) == fresh.json(spelling)
            assert answers.framed(body(name, b"\x10" + bytes((number,)))) == fresh.framed(body(name))
            continue
        if number:
            catalog.configure(name, SamplingStrategy("ratelimiting", number))
        else:
            catalog.apply([Change(Key("service", name), None)])
        answers.serve(catalog, [name] if step == "change" else None)
