"""The query string of an HTTP poll. Every expectation here was seen from Jaeger v2.20."""

from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.polls.query import service_names

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (b"", []),
        (b"service=shop", ["shop"]),
        (b"service=", [""]),
        (b"service", [""]),
        (b"service=a=b", ["a=b"]),
        (b"&&service=x&", ["x"]),
        (b"service=a&service=b", ["a", "b"]),
        (b"service=a&service", ["a", ""]),
        (b"serv%69ce=a&service=b", ["a", "b"]),
        (b"Service=x", []),
        (b"+service=a", []),
        (b"service[]=a", []),
        (b"?service=a", []),
        (b"=service", []),
        (b"service=a+b", ["a b"]),
        (b"service=a%20b", ["a b"]),
        (b"service=a%2Bb", ["a+b"]),
        (b"service=a%26b", ["a&b"]),
        (b"service=a%25b", ["a%b"]),
        (b"service=a/b", ["a/b"]),
        (b"service=a%2fb", ["a/b"]),
        (b"service=a#b", ["a#b"]),
        (b"service=a?b", ["a?b"]),
        (b"service=x%41", ["xA"]),
        (b"service=%00", ["\0"]),
        (b"service=%C3%A9", ["é"]),
        (b"service=\xc3\xa9", ["é"]),
        # A semicolon or a broken escape spoils its own pair only.
        (b"service=a;b", []),
        (b"service=a%3Bb", ["a;b"]),
        (b"a=b;c&service=x", ["x"]),
        (b"service=a%2", []),
        (b"service=a%2g", []),
        (b"service=%u0041", []),
        (b"x=%zz&service=a", ["a"]),
    ],
)
def test_a_query_is_read_as_jaeger_reads_it(query: bytes, found: list[str]) -> None:
    assert service_names(query) == found


@pytest.mark.parametrize("query", [b"service=%ff", b"service=\xff", b"service=%C3%28", b"service=%ED%A0%80"])
def test_a_name_that_is_no_utf_8_is_given_but_is_nobodys(query: bytes) -> None:
    (name,) = service_names(query)

    with pytest.raises(UnicodeEncodeError):
        name.encode()


@given(names, st.dictionaries(names.filter(lambda key: key != "service"), names))
def test_any_name_is_found_in_any_usual_spelling_beside_any_other_parameters(name: str, others: dict[str, str]) -> None:
    rest = urlencode(others)

    for value in (quote(name), quote(name, safe=""), quote_plus(name)):
        assert service_names(f"service={value}&{rest}".encode()) == [name]
        assert service_names(f"{rest}&service={value}".encode()) == [name]


@given(st.binary())
def test_any_bytes_are_read(query: bytes) -> None:
    service_names(query)
