"""The entries of a strategies file before anything is made of them, filled as Go's ``encoding/json`` fills its structs.

Seen in Jaeger v2.20, which is built on it: keys match without regard to case; null leaves a string or number as it was
and takes a list or object away; of a key given twice the later value is laid over the earlier one, for a list element
by element, so that a field which only the earlier one has stays.
"""

from collections.abc import Callable, Generator
from math import isfinite
from typing import Any, ClassVar

from sampling.strategies_file import StrategiesFileError

Warn = Callable[[str, str], None]
"""Takes the path in the document and the message."""


class OperationEntry:
    """One element of ``operation_strategies``. None is what the file does not say."""

    __slots__ = ("operation", "param", "type")
    WANTED: ClassVar[dict[str, type]] = {"operation": str, "type": str, "param": float}

    def __init__(self) -> None:
        self.operation: str | None = None
        self.type: str | None = None
        self.param: float | None = None


class ServiceEntry:
    """One element of ``service_strategies``, or the ``default_strategy``. None is what the file does not say."""

    __slots__ = ("_operations", "_operations_length", "param", "service", "type")
    WANTED: ClassVar[dict[str, type]] = {"service": str, "type": str, "param": float, "operation_strategies": list}

    def __init__(self) -> None:
        self.service: str | None = None
        self.type: str | None = None
        self.param: float | None = None
        # A shorter list given later hides the tail of an earlier one, and a third list can bring it back.
        self._operations: list[OperationEntry | None] = []
        self._operations_length = 0

    @property
    def operations(self) -> list[OperationEntry | None]:
        """The operations; an element is None where the file has null."""
        return self._operations[: self._operations_length]

    def fill(self, value: Any, path: str, warn: Warn) -> Generator[None, None, None]:
        """Lay a JSON object (pairs, as ``JsonCursor`` gives them) over what is there; yields after some operations.

        Raises:
            StrategiesFileError: a value has the wrong type.
        """
        for operations in _fill(self, value, path, warn):
            if not operations:
                self._operations.clear()
            yield from self._fill_operations(operations or [], f"{path}.operation_strategies", warn)

    def _fill_operations(self, values: list[Any], path: str, warn: Warn) -> Generator[None, None, None]:
        entries = self._operations
        for index, value in enumerate(values):
            if index == len(entries):
                entries.append(None)
            if value is None:
                entries[index] = None
            else:
                entry = entries[index]
                if entry is None:
                    entry = entries[index] = OperationEntry()
                _fill(entry, value, f"{path}[{index}]", warn)
            if index % 32 == 31:
                yield
        self._operations_length = len(values)


def folded(key: str) -> str:
    """A key as it is compared: case is ignored, with the long s, but no more (``str.casefold`` makes one letter two)."""
    return key.replace("\u017f", "s").lower()


def wrong_type(path: str, wanted: str, value: Any) -> StrategiesFileError:
    """The error for a JSON value of another type than the wanted one."""
    return StrategiesFileError(f"{path}: must be {wanted}, not {_NAMES[type(value)]}")


def shown(value: str | float) -> str:
    """A value from the file in a message: strings quoted, escaped and of bounded length."""
    if isinstance(value, str):
        return repr(value if len(value) <= 100 else f"{value[:97]}...")
    return f"{value:.15g}"


_NAMES: dict[type, str] = {
    type(None): "null",
    bool: "true or false",
    float: "a number",
    str: "a string",
    list: "a list",
    tuple: "an object",
}


def _fill(entry: OperationEntry | ServiceEntry, value: Any, path: str, warn: Warn) -> list[list[Any] | None]:
    """Set the fields of an entry. Lists are not set but returned, because filling from them may take long."""
    if type(value) is not tuple:
        raise wrong_type(path, "an object", value)
    lists: list[list[Any] | None] = []
    pairs: tuple[tuple[str, Any], ...] = value
    for key, member in pairs:
        name = key if key in entry.WANTED else folded(key)
        wanted = entry.WANTED.get(name)
        if wanted is None:
            warn(path, f"the key {shown(key)} is unknown and is ignored")
        elif wanted is list and (member is None or type(member) is list):
            if lists:
                warn(f"{path}.{name}", "is given twice; the later list is laid over the earlier one, as in Jaeger")
            lists.append(member)
        elif isinstance(member, wanted):
            if isinstance(member, float) and not isfinite(member):
                raise StrategiesFileError(f"{path}.{name}: is too large a number")
            if getattr(entry, name) is not None:
                warn(f"{path}.{name}", "is given twice; the later value stands, as in Jaeger")
            setattr(entry, name, member)
        elif member is not None:
            raise wrong_type(f"{path}.{name}", _NAMES[wanted], member)
    return lists
