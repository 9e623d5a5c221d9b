"""Which policies match a service name, in the order in which they count."""

from collections.abc import Iterator
from datetime import datetime

from sampling.pattern import Pattern
from sampling.records import Rules, SamplingPolicy


class Policy:
    """A sampling policy made ready for matching."""

    __slots__ = ("ends", "name", "pattern", "rank", "rules", "starts")

    def __init__(self, name: str, record: SamplingPolicy) -> None:
        self.name = name
        self.rules: Rules = record.rules
        self.pattern = Pattern(record.service_pattern)
        self.starts = seconds(record.starts_at, float("-inf"))
        self.ends = seconds(record.ends_at, float("inf"))
        self.rank = (-record.priority, tuple(-part for part in self.pattern.specificity), name)
        """Sorts policies, the winner first: priority, then the more specific pattern, then the name."""

    def in_window(self, instant: float) -> bool:
        """Windows are half open: the start belongs to them, the end does not."""
        return self.starts <= instant < self.ends


class PolicyIndex:
    """Enabled policies by the literal prefix of their pattern, so that a name meets few of ten thousand."""

    def __init__(self) -> None:
        self._by_prefix: dict[str, dict[str, Policy]] = {}
        self._prefix_lengths: list[int] = []
        self._policies: dict[str, Policy] = {}

    def __iter__(self) -> Iterator[Policy]:
        return iter(self._policies.values())

    def add(self, policy: Policy) -> None:
        self.remove(policy.name)
        self._policies[policy.name] = policy
        prefix = policy.pattern.prefix
        if prefix not in self._by_prefix:
            self._by_prefix[prefix] = {}
            if len(prefix) not in self._prefix_lengths:
                self._prefix_lengths.append(len(prefix))
        self._by_prefix[prefix][policy.name] = policy

    def remove(self, name: str) -> None:
        """Forget a policy; a name that is not there is fine."""
        policy = self._policies.pop(name, None)
        if policy is None:
            return
        prefix = policy.pattern.prefix
        del self._by_prefix[prefix][name]
        if not self._by_prefix[prefix]:
            del self._by_prefix[prefix]

    def matching(self, name: str, instant: float) -> list[Policy]:
        """Policies in their window whose pattern matches, the winner first."""
        found = [
            policy
            for length in self._prefix_lengths
            if length <= len(name) and (bucket := self._by_prefix.get(name[:length]))
            for policy in bucket.values()
            if policy.in_window(instant) and policy.pattern.matches(name)
        ]
        found.sort(key=_rank)
        return found


def _rank(policy: Policy) -> tuple[int, tuple[int, ...], str]:
    return policy.rank


def seconds(instant: datetime | None, absent: float) -> float:
    """Seconds since the epoch, or what stands for no instant."""
    return absent if instant is None else instant.timestamp()
