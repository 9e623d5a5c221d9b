"""Glob patterns over service names: ``*`` any text, ``?`` one character, ``[abc]`` ``[a-z]`` ``[!abc]`` one of a set.

Case sensitive, over the whole name; a ``[`` that is never closed stands for itself (the dialect of ``fnmatch.fnmatchcase``).
"""

import fnmatch
import re
from functools import cached_property

_TOKEN = re.compile(r"\*|\?|\[!?\]?[^\]]*\]|.", re.DOTALL)


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
        runs = "".join(part if len(part) == 1 and part not in ("*", "?") else "\0" for part in tokens).split("\0")
        self._part = max(runs, key=len)
        """Characters in a row that every matching name contains: to look for them is much faster than the expression."""
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
