"""A strategies file as records of the store, from which every service gets the answers that it gets from the file."""

from collections.abc import Generator

import msgspec

from sampling.configuration_document import shown_name
from sampling.records import DEFAULT_KEY, Key, Rules, SamplingPolicy, ServiceConfiguration, encode_record
from sampling.strategies_file import MAX_WARNINGS, FileWarning, StrategiesFile
from sampling.strategy import OperationStrategy, check_name

_AT_ONCE = 32

Operations = tuple[OperationStrategy, ...]

_decode = msgspec.json.Decoder(Rules).decode


class JaegerImport:
    """One file being turned into records: run ``in_slices``, then look at ``records`` and the warnings.

    A record holds less than a file: for what it cannot hold there is a warning, and what comes nearest.
    """

    def __init__(self, file: StrategiesFile, owner: str | None) -> None:
        self._file, self._owner = file, owner
        self.records: dict[Key, bytes] = {}
        """The canonical text of each, managed by the owner."""
        self.warnings: list[FileWarning] = list(file.warnings)
        """Those of the file and our own; the first MAX_WARNINGS."""
        self.warning_count = file.warning_count
        self._inherited: Operations = ()
        """What services get from the default that the record of the default cannot hold."""
        self._bodies: dict[bytes, bytes] = {}

    def in_slices(self) -> Generator[None, None, None]:
        """Make the records; yields after each."""
        default = self._file.default
        if default is not None:
            path = "default_strategy"
            operations = yield from self._operations(default.operation_strategies or (), path)
            strategy = default.sampling_strategy
            if strategy is not None and strategy.type == "ratelimiting" and operations:
                self._warn(
                    f"{path}.operation_strategies",
                    "are written into each service that has a probability: no record holds them beside a rate limit",
                )
                self._inherited, operations = operations, ()
            record = SamplingPolicy("*", sampling_strategy=strategy, operation_strategies=operations, managed_by=self._owner)
            self.records[DEFAULT_KEY] = encode_record(record)
        for name, rules in self._file.services.items():
            try:
                check_name("service", name)
            except ValueError as error:
                self._warn(f"service_strategies[{shown_name(name)}]", f"is left out, as no record can have this name: {error}")
            else:
                self.records[Key("service", name)] = yield from self._body(name, rules)
            yield

    def _body(self, name: str, rules: bytes) -> Generator[None, None, bytes]:
        """The text of a service's record. Most services have one that others have too."""
        known = self._bodies.get(rules)
        if known is not None:
            return known
        path, before = f"service_strategies[{shown_name(name)}]", self.warning_count
        given = _decode(rules)
        operations = yield from self._operations(given.operation_strategies or (), path)
        strategy = given.sampling_strategy
        if self._inherited and strategy is not None and strategy.type != "ratelimiting":
            own = {operation.operation for operation in operations}
            operations += tuple(operation for operation in self._inherited if operation.operation not in own)
        body = encode_record(ServiceConfiguration(strategy, operations, managed_by=self._owner))
        if self.warning_count == before:
            self._bodies[rules] = body
        return body

    def _operations(self, operations: Operations, path: str) -> Generator[None, None, Operations]:
        """Those that a record can hold."""
        kept: dict[str, OperationStrategy] = {}
        for index, operation in enumerate(operations):
            place = f"{path}.operation_strategies[{shown_name(operation.operation)}]"
            if operation.operation in kept:
                self._warn(place, "the first of them is kept: a record holds an operation once")
            else:
                try:
                    check_name("operation", operation.operation)
                    kept[operation.operation] = operation
                except ValueError as error:
                    self._warn(place, f"is left out, as no record can hold it: {error}")
            if index % _AT_ONCE == _AT_ONCE - 1:
                yield
        return tuple(kept.values())

    def _warn(self, path: str, message: str) -> None:
        self.warning_count += 1
        if len(self.warnings) < MAX_WARNINGS:
            self.warnings.append(FileWarning(path, message))
