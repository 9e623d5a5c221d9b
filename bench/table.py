"""A plain table, as wide as its cells."""

from collections.abc import Sequence


class Table:
    """Rows of text under a title; the first column is aligned to the left, the others to the right."""

    def __init__(self, title: str, *columns: str) -> None:
        self._title = title
        self._rows: list[Sequence[str]] = [columns]

    def add(self, *cells: str) -> None:
        self._rows.append(cells)

    def __str__(self) -> str:
        widths = [max(map(len, column)) for column in zip(*self._rows, strict=True)]
        lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in self._rows]
        lines.insert(1, "  ".join("-" * width for width in widths))
        return "\n".join([self._title, "", *lines, ""])
