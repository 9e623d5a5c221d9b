"""A JSON text read value by value, exactly as strictly as Go's ``encoding/json`` reads one.

A long document need not be held as objects, nor be parsed in one piece: its outer levels are walked with ``members``
and ``elements``, and each inner value is taken whole.
"""

import json
import re
from collections.abc import Iterator
from json.decoder import JSONDecodeError
from typing import Any, NoReturn

_skip_white_space = re.compile(r"[ \t\n\r]*").match

_FIRST_WINDOW = 4096
_LONGEST_TOKEN = 16
"""An error that comes of the end of a window is this near to it, unless a string is cut."""


class JsonError(ValueError):
    """Is raised where a text is not JSON; the message begins with line and column."""


class JsonCursor:
    """A place in a JSON text.

    A value, once taken, is None, bool, float (infinite where the text is beyond a double), str, list, or for an object
    a tuple of its (key, value) pairs in their order, keys given twice included.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self.position = _end_of_white_space(text, 0)
        """Where the next value begins; set it to go back to one."""
        self._raw_decode = json.JSONDecoder(
            object_pairs_hook=tuple, parse_int=float, parse_constant=_refuse_constant
        ).raw_decode

    def at(self, opening: str) -> bool:
        """Whether the next value begins with this character."""
        return self._text.startswith(opening, self.position)

    def value(self) -> Any:
        """Take the next value whole.

        Raises:
            JsonError: it is not JSON, or is nested more deeply than Python's own parser can follow.
        """
        try:
            value, end = self._raw_decode(self._text, self.position)
        except JSONDecodeError as error:
            reason = error.msg[:1].lower() + error.msg[1:].removesuffix(" at").removesuffix(" starting")
            raise self._error(error.pos, reason) from None
        except _Constant as error:
            # The parser does not say where it is, so this names the place where the outer value begins.
            raise self._error(self.position, f"{error} is not JSON") from None
        except RecursionError:
            raise self._error(self.position, "is nested too deeply") from None
        self.position = _end_of_white_space(self._text, end)
        return value

    def bounded_value(self, limit: int) -> Any:
        """As ``value``, but a value of more than ``limit`` characters is refused, and costs no more than one of so many.

        Raises:
            JsonError: also where the value is longer.
        """
        begin, size = self.position, _FIRST_WINDOW
        while len(self._text) - begin > size:
            window = self._text[begin : begin + size]
            try:
                value, end = self._raw_decode(window)
            except JSONDecodeError as error:
                if error.pos < size - _LONGEST_TOKEN and not error.msg.startswith("Unterminated string"):
                    return self.value()  # It says what is wrong, and where.
                value, end = None, size
            except (_Constant, RecursionError):
                return self.value()
            if end < size:
                self.position = _end_of_white_space(self._text, begin + end)
                return value
            if size >= limit:
                raise self._error(begin, f"this value has more than {limit} characters, or does not end")
            size = min(size * 16, limit)
        return self.value()

    def text_since(self, position: int) -> str:
        """The text from a position up to here, with the white space behind it."""
        return self._text[position : self.position]

    def elements(self) -> Iterator[int]:
        """Walk the array that begins here: yields each element's index; take the element before the next step.

        Raises:
            JsonError: it is not JSON.
        """
        self._take("[")
        index = 0
        while index > 0 or not self.at("]"):
            yield index
            index += 1
            if not self.at(","):
                break
            self._take(",")
        self._take("]")

    def members(self) -> Iterator[str]:
        """Walk the object that begins here: yields each key; take its value before the next step.

        Raises:
            JsonError: it is not JSON.
        """
        self._take("{")
        first = True
        while not first or not self.at("}"):
            first = False
            if not self.at('"'):
                raise self._error(self.position, "expecting a key in double quotes")
            key: str = self.value()
            self._take(":")
            yield key
            if not self.at(","):
                break
            self._take(",")
        self._take("}")

    def finish(self) -> None:
        """Make sure that nothing is left.

        Raises:
            JsonError: something is.
        """
        if self.position < len(self._text):
            raise self._error(self.position, "text after the end of the document; remove it")

    def _take(self, character: str) -> None:
        if not self.at(character):
            raise self._error(self.position, f"expecting {character!r}")
        self.position = _end_of_white_space(self._text, self.position + 1)

    def _error(self, position: int, reason: str) -> JsonError:
        where = JSONDecodeError("", self._text, position)
        if self._text.startswith("/", position):
            reason = "JSON has no comments"
        return JsonError(f"line {where.lineno}, column {where.colno}: {reason}")


def _end_of_white_space(text: str, position: int) -> int:
    match = _skip_white_space(text, position)
    return match.end() if match else position


class _Constant(Exception):
    """NaN or an infinity, which Python's parser knows and JSON does not."""


def _refuse_constant(constant: str) -> NoReturn:
    # Not a method: a cursor that its own parser refers to would keep the whole text alive as a reference cycle.
    raise _Constant(constant)
