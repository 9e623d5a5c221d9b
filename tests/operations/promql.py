"""What an expression of Prometheus's language is made of, as far as its words tell: enough for metrics, labels and mutants.

It relies on what promtool has parsed: it does not say whether an expression is right.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

_TOKEN = re.compile(
    r"""
    (?P<space>\s+|\#[^\n]*)
  | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)
  | (?P<duration>(?:\d+(?:ms|[smhdwy]))+\b)
  | (?P<number>0x[\da-fA-F]+|(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?)
  | (?P<word>[a-zA-Z_:][\w:]*)
  | (?P<compare>==|!=|<=|>=|<|>)
  | (?P<match>=~|!~|=)
  | (?P<sign>[-+*/%^@,:(){}\[\]])
    """,
    re.VERBOSE,
)

LISTS = {"by", "without", "on", "ignoring", "group_left", "group_right"}
"""Words before a list of labels."""

OPERATORS = {"and", "or", "unless", "atan2", "bool", "offset"}

NUMBERS = {"inf", "nan"}


class Token(NamedTuple):
    """A word of the expression, with its place in it."""

    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


class Selector(NamedTuple):
    """A metric that is asked for, and by which labels its series are chosen."""

    metric: str
    labels: Mapping[str, str | None]
    """Of each label the value that it must have; None where it may be one of several, or must not be one."""


def tokens(expression: str) -> list[Token]:
    """All but space and comments."""
    found = []
    place = 0
    while place < len(expression):
        matched = _TOKEN.match(expression, place)
        assert matched is not None, f"what is {expression[place:]!r}?"
        assert matched.lastgroup is not None
        if matched.lastgroup != "space":
            found.append(Token(matched.lastgroup, matched[0], place))
        place = matched.end()
    return found


def outside(all_tokens: Sequence[Token]) -> Iterator[Token]:
    """Those that are no part of a selector's labels, of a range, or of a list of labels."""
    place = 0
    while place < len(all_tokens):
        token = all_tokens[place]
        if token.text in {"{", "["} or (token.text in LISTS and _text(all_tokens, place + 1) == "("):
            while all_tokens[place].text not in {"}", "]", ")"}:
                place += 1
        else:
            yield token
        place += 1


def selectors(expression: str) -> list[Selector]:
    """Every metric that the expression asks for, in its order."""
    all_tokens = tokens(expression)
    texts = {token.start: place for place, token in enumerate(all_tokens)}
    found = []
    for token in outside(all_tokens):
        following = texts[token.start] + 1
        if token.kind != "word" or token.text in OPERATORS | LISTS or token.text.lower() in NUMBERS:
            continue
        if _text(all_tokens, following) in {"(", *LISTS}:  # A function, or an aggregation: `sum by (job) (...)`.
            continue
        found.append(Selector(token.text, dict(_labels(all_tokens, following))))
    return found


def metrics(expression: str) -> set[str]:
    """The names of every metric that the expression asks for."""
    return {selector.metric for selector in selectors(expression)}


def _labels(all_tokens: Sequence[Token], place: int) -> Iterator[tuple[str, str | None]]:
    if _text(all_tokens, place) == "{":
        while _text(all_tokens, place) != "}":
            if all_tokens[place].kind == "word":
                exact = _text(all_tokens, place + 1) == "="
                yield all_tokens[place].text, all_tokens[place + 2].text[1:-1] if exact else None
            place += 1


def _text(all_tokens: Sequence[Token], place: int) -> str | None:
    return all_tokens[place].text if place < len(all_tokens) else None
