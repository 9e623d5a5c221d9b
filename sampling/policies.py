"""Which policies match a service name, in the order in which they count."""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime

from sampling.pattern import Pattern, needles_of
from sampling.records import Rules, SamplingPolicy

_NO_NEEDLES = frozenset([""])


class Policy:
    """A sampling policy made ready for matching."""

    __slots__ = ("ends", "name", "pattern", "priority", "rank", "rules", "starts")

    def __init__(self, name: str, record: SamplingPolicy) -> None:
        self.name = name
        self.rules: Rules = record.rules
        self.priority = record.priority
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
        self._by_prefix: dict[str, _Bucket] = {}
        self._prefix_lengths: list[int] = []
        self._policies: dict[str, Policy] = {}
        self._needles: dict[str, str] = {}

    def __iter__(self) -> Iterator[Policy]:
        return iter(self._policies.values())

    def add(self, policy: Policy) -> None:
        self.remove(policy.name)
        self._policies[policy.name] = policy
        prefix = policy.pattern.prefix
        if prefix not in self._by_prefix:
            self._by_prefix[prefix] = _Bucket()
            if len(prefix) not in self._prefix_lengths:
                self._prefix_lengths.append(len(prefix))
        self._needles[policy.name] = self._by_prefix[prefix].add(policy)

    def remove(self, name: str) -> None:
        """Forget a policy; a name that is not there is fine."""
        policy = self._policies.pop(name, None)
        if policy is None:
            return
        prefix = policy.pattern.prefix
        self._by_prefix[prefix].remove(policy, self._needles.pop(name))
        if not self._by_prefix[prefix].by_needle:
            del self._by_prefix[prefix]

    def __contains__(self, name: str) -> bool:
        return name in self._policies

    def get(self, name: str) -> Policy | None:
        """The enabled policy of this name."""
        return self._policies.get(name)

    def matching(self, name: str, instant: float | None = None) -> list[Policy]:
        """Policies whose pattern matches, the winner first: those in their window, or without an instant all of them."""
        needles = None
        candidates: list[Policy] = []
        for length in self._prefix_lengths:
            if length <= len(name) and (bucket := self._by_prefix.get(name[:length])):
                if needles is None and bucket.has_needles:
                    needles = needles_of(name)
                candidates += bucket.candidates(needles or _NO_NEEDLES)
        found = [
            policy for policy in candidates if (instant is None or policy.in_window(instant)) and policy.pattern.matches(name)
        ]
        found.sort(key=by_rank)
        return found


class _Bucket:
    """Policies that share a literal prefix, by a needle: a short text that only a name with it behind the prefix can match."""

    __slots__ = ("_patterns", "by_needle")

    def __init__(self) -> None:
        self.by_needle: dict[str, dict[str, Policy]] = {}
        """Those without any needle are under the empty one."""
        self._patterns: dict[str, int] = {}
        """How many patterns have a needle, whichever one they are under."""

    def add(self, policy: Policy) -> str:
        """Take a policy; the needle that it is under, the one of its own that fewest other patterns have."""
        needles, patterns = policy.pattern.needles(), self._patterns
        rarest = min(needles, key=lambda needle: (patterns.get(needle, 0), needle), default="")
        for needle in needles:
            patterns[needle] = patterns.get(needle, 0) + 1
        self.by_needle.setdefault(rarest, {})[policy.name] = policy
        return rarest

    def remove(self, policy: Policy, under: str) -> None:
        for needle in policy.pattern.needles():
            self._patterns[needle] -= 1
            if not self._patterns[needle]:
                del self._patterns[needle]
        del self.by_needle[under][policy.name]
        if not self.by_needle[under]:
            del self.by_needle[under]

    @property
    def has_needles(self) -> bool:
        return bool(self._patterns)

    def candidates(self, needles: AbstractSet[str]) -> Iterator[Policy]:
        """Those that may match a name with the prefix and these needles."""
        for needle in self.by_needle.keys() & needles:
            yield from self.by_needle[needle].values()


def by_rank(policy: Policy) -> tuple[int, tuple[int, ...], str]:
    """Sorts policies, the winner first."""
    return policy.rank


def seconds(instant: datetime | None, absent: float) -> float:
    """Seconds since the epoch, or what stands for no instant."""
    return absent if instant is None else instant.timestamp()


_LAST_MOMENT = datetime.max.replace(tzinfo=UTC)


def moment(instant: float) -> datetime:
    """Seconds since the epoch as a date. The last microseconds of the year 9999 are rounded up by ``seconds``."""
    return _LAST_MOMENT if instant >= _LAST_MOMENT.timestamp() else datetime.fromtimestamp(instant, UTC)


def moment_text(instant: float) -> str:
    """The same for people, and for JSON: ``2026-12-01T00:00:00Z``."""
    return moment(instant).isoformat().replace("+00:00", "Z")
