"""The resolution rules once more, as slow and obvious as they can be said. Imports nothing of ``sampling`` but records."""

import fnmatch
from dataclasses import dataclass, field
from datetime import datetime

from sampling.records import Boost, Rules, SamplingPolicy, ServiceConfiguration
from sampling.strategy import OperationStrategy, SamplingStrategy


@dataclass
class Configuration:
    """Everything that can have a say."""

    services: dict[str, ServiceConfiguration] = field(default_factory=dict)
    boosts: dict[str, Boost] = field(default_factory=dict)
    policies: dict[str, SamplingPolicy] = field(default_factory=dict)
    default: SamplingPolicy | None = None
    file_services: dict[str, Rules] = field(default_factory=dict)
    file_default: Rules | None = None


def answer(configuration: Configuration, name: str, now: datetime) -> tuple[SamplingStrategy, list[OperationStrategy] | None]:
    """The strategy and the operations that a name gets, by the seven rules of the design."""
    boost = configuration.boosts.get(name)
    if boost is not None and now < boost.ends_at:
        assert boost.sampling_strategy is not None
        return finish(boost.sampling_strategy, [boost.operation_strategies])

    service = configuration.services.get(name)
    if service is not None and not service.enabled:
        service = None
    entry = configuration.file_services.get(name)
    matching = matching_policies(configuration, name, now)
    default = configuration.default if configuration.default and configuration.default.enabled else None
    file_default = configuration.file_default

    strategies: list[SamplingStrategy | None] = []
    strategies.append(service.sampling_strategy if service else None)
    strategies.append(entry.sampling_strategy if entry else None)
    strategies.extend(policy.sampling_strategy for policy in matching)
    strategies.append(default.sampling_strategy if default else None)
    strategies.append(file_default.sampling_strategy if file_default else None)
    strategies.append(SamplingStrategy("probabilistic", 0.001))
    strategy = next(strategy for strategy in strategies if strategy is not None)

    lists: list[tuple[OperationStrategy, ...] | None] = []
    if service:
        lists.append(service.operation_strategies)
    elif entry:
        lists.append(entry.operation_strategies)
    lists.extend(policy.operation_strategies for policy in matching)
    if default:
        lists.append(default.operation_strategies)
    elif file_default:
        lists.append(file_default.operation_strategies)
    return finish(strategy, lists)


def finish(
    strategy: SamplingStrategy, lists: list[tuple[OperationStrategy, ...] | None]
) -> tuple[SamplingStrategy, list[OperationStrategy] | None]:
    if strategy.type == "ratelimiting":
        return strategy, None
    operations: list[OperationStrategy] = []
    spoken = strategy.lower_bound_traces_per_second > 0
    for some in lists:
        if some is None:
            continue
        spoken = True
        known = {operation.operation for operation in operations}
        operations.extend(operation for operation in some if operation.operation not in known)
    return strategy, operations if spoken else None


def matching_policies(configuration: Configuration, name: str, now: datetime) -> list[SamplingPolicy]:
    found = []
    for key, policy in configuration.policies.items():
        started = policy.starts_at is None or policy.starts_at <= now
        ended = policy.ends_at is not None and policy.ends_at <= now
        if policy.enabled and started and not ended and fnmatch.fnmatchcase(name, policy.service_pattern):
            found.append((-policy.priority, [-part for part in specificity(policy.service_pattern)], key, policy))
    return [policy for *_, policy in sorted(found, key=lambda entry: entry[:3])]


def specificity(pattern: str) -> list[int]:
    """Literal characters, then single-character wildcards, then fewer stars."""
    literals = singles = stars = at = 0
    while at < len(pattern):
        end = end_of_set(pattern, at) if pattern[at] == "[" else 0
        stars += pattern[at] == "*"
        singles += pattern[at] == "?" or end > 0
        literals += pattern[at] not in "*?" and not end
        at = max(end, at) + 1
    return [literals, singles, -stars]


def end_of_set(pattern: str, start: int) -> int:
    """Where the set that begins here is closed; 0 where it never is, and the bracket stands for itself."""
    first = start + 1
    if pattern[first : first + 1] == "!":
        first += 1
    # A bracket that comes first is one of the set.
    return max(pattern.find("]", first + 1), 0)
