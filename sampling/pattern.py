"""Glob patterns over service names: ``*`` any text, ``?`` one character, ``[abc]`` ``[a-z]`` ``[!abc]`` one of a set.

Case sensitive, over the whole name; a ``[`` that is never closed stands for itself (the dialect of ``fnmatch.fnmatchcase``).
"""

import fnmatch
import re
from collections.abc import Collection, Sequence
from functools import cached_property
from itertools import islice

# Possessive: a bracket right behind the opening one belongs to the set, so `[]` alone is no set.
_TOKEN = re.compile(r"\*|\?|\[!?+\]?+[^\]]*\]|.", re.DOTALL)


NEEDLE, SHORT_NEEDLE = 4, 2
"""Characters of a needle; of one from a text that is shorter than the longer kind."""

_NEEDLES_LOOKED_AT = 64


class Pattern:
    """One glob. Most are matched without a regular expression; where one is needed, its compiling is put off until a name
    with the literal prefix comes, or done at once where every name does."""

    def __init__(self, text: str) -> None:
        self.text = text
        tokens = _TOKEN.findall(text)
        literals = [token for token in tokens if token not in ("*", "?") and len(token) == 1]
        stars = tokens.count("*")
        self.specificity: tuple[int, int, int] = (len(literals), len(tokens) - len(literals) - stars, -stars)
        """Compares patterns: more literal characters, then more single-character wildcards, then fewer stars."""
        self.prefix = text[: next((i for i, character in enumerate(text) if character in "*?["), len(text))]
        """The characters every matching name starts with."""
        self._part = max(_runs(tokens[len(self.prefix) :]), key=len)
        """Characters in a row that every matching name contains behind the prefix: to look for them is much faster than the
        expression."""
        rest = text[len(self.prefix) :]
        self._prefix_only = rest == "*"
        self._literal = not rest
        only_stars = len(literals) + stars == len(tokens)
        self._between: list[str] | None = text.split("*") if stars and only_stars else None
        """What stands between the stars, where there are no other wildcards."""
        if not self.prefix and self._between is None:
            _ = self._regex

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        return re.compile(fnmatch.translate(self.text))

    def needles(self) -> Collection[str]:
        """Short texts that every matching name has behind the prefix, by any of which the pattern can be looked up."""
        runs = _runs(_TOKEN.findall(self.text[len(self.prefix) :]))
        size = NEEDLE if any(len(run) >= NEEDLE for run in runs) else SHORT_NEEDLE
        needles = (run[start : start + size] for run in runs for start in range(len(run) - size + 1))
        return set(islice(needles, _NEEDLES_LOOKED_AT))

    def matches(self, name: str) -> bool:
        """Whether the whole name is described by the pattern."""
        if self._prefix_only:
            return name.startswith(self.prefix)
        if self._literal:
            return name == self.prefix
        if self._part not in name:
            return False
        return self._regex.match(name) is not None if self._between is None else self._fits(name, self._between)

    @staticmethod
    def _fits(name: str, between: list[str]) -> bool:
        first, *middle, last = between
        start, end = len(first), len(name) - len(last)
        if start > end or not name.startswith(first) or not name.endswith(last):
            return False
        for part in middle:
            # The earliest place leaves the most for the rest.
            start = name.find(part, start, end) + len(part)
            if start < len(part):
                return False
        return True


def needles_of(name: str) -> set[str]:
    """By which needles patterns that match a name may be found; by the empty one those that have none."""
    needles = {name[at : at + NEEDLE] for at in range(len(name))}
    needles.update([name[at : at + SHORT_NEEDLE] for at in range(len(name))])
    needles.add("")
    return needles


def _runs(tokens: Sequence[str]) -> list[str]:
    """The literal texts between the wildcards."""
    return "".join(part if len(part) == 1 and part not in ("*", "?") else "\0" for part in tokens).split("\0")
