"""Tables: laid out for the width of a terminal, plain aligned lines elsewhere."""

import sys
from collections.abc import Iterable, Sequence

from server.cli.output import console_of, escaped

NOTHING = "-"
"""A cell that says nothing."""

LAID_OUT_ROWS = 1000
"""A longer table is printed as elsewhere on a terminal too: laying it out takes longer than reading it."""

BETWEEN = "  "

WHOLE = 20
"""A word of so many characters is never broken: an instant, a number, a heading."""


def say_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Columns with headings."""
    titles = [heading.upper() for heading in headings]
    cells = [[escaped(cell) for cell in row] for row in rows]
    if sys.stdout.isatty() and 0 < len(cells) <= LAID_OUT_ROWS:
        _lay_out(titles, cells)
        return
    widths = [max(map(len, column)) for column in zip(titles, *cells, strict=True)]
    for row in (titles, *cells):
        print(BETWEEN.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _lay_out(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Without the columns that say nothing; each row as lines of its own where the terminal is too narrow for a table."""
    from rich.table import Table  # noqa: PLC0415 - only a terminal needs it
    from rich.text import Text  # noqa: PLC0415

    columns = [column for column in zip(titles, *rows, strict=True) if any(cell != NOTHING for cell in column[1:])]
    table = Table(box=None, pad_edge=False, padding=(0, len(BETWEEN), 0, 0), show_header=False)
    widths = _widths(columns, console_of(sys.stdout).width)
    for width in widths or (None, None):
        table.add_column(width=width, overflow="fold")
    titles, *rows = zip(*columns, strict=True)
    if widths:
        table.add_row(*(Text(title, "bold") for title in titles))
        for row in rows:
            table.add_row(*map(Text, row))
    else:
        for row in rows:
            for title, cell in zip(titles, row, strict=True):
                if cell != NOTHING:
                    table.add_row(Text(title, "bold"), Text(cell))
            table.add_row()
    console_of(sys.stdout).print(table)


def _widths(columns: Sequence[Sequence[str]], terminal: int) -> Sequence[int]:
    """How wide each column is, in cells of the terminal; none where they do not fit beside each other.

    Texts are broken between words; if that is not enough also in words, of which ``WHOLE`` characters stay together.
    """
    from rich.cells import cell_len  # noqa: PLC0415

    left = terminal - len(BETWEEN) * (len(columns) - 1)
    wanted = [max(map(cell_len, column)) for column in columns]
    for longest in (left, WHOLE):
        least = [max(min(cell_len(word), longest) for cell in column for word in cell.split(" ")) for column in columns]
        if sum(least) <= left:
            return _shared(least, wanted, left - sum(least))
    return ()


def _shared(least: Sequence[int], wanted: Sequence[int], spare: int) -> Sequence[int]:
    """What is to spare goes to all alike, first to those that lack little: short texts stay on one line."""
    widths = list(least)
    for done, index in enumerate(sorted(range(len(least)), key=lambda index: wanted[index] - least[index])):
        more = min(wanted[index] - least[index], spare // (len(least) - done))
        widths[index] += more
        spare -= more
    return widths
