"""How long something lasts, as people write it: ``90s``, ``30m``, ``1h30m``, ``7d``."""

import re

_PARTS = re.compile(r"(?:([0-9]{1,9})d)?(?:([0-9]{1,9})h)?(?:([0-9]{1,9})m)?(?:([0-9]{1,9})s)?")
_UNITS = (86_400, 3_600, 60, 1)


def duration_seconds(text: str) -> int:
    """The whole seconds of a duration, more than 0.

    Raises:
        ValueError: saying how a duration is written.
    """
    found = _PARTS.fullmatch(text)
    if not text or found is None:
        raise ValueError("write it like `90s`, `30m`, `2h`, `1h30m` or `7d`: days, hours, minutes, seconds, in this order")
    seconds = sum(unit * int(count or 0) for unit, count in zip(_UNITS, found.groups(), strict=True))
    if seconds == 0:
        raise ValueError("must be longer than 0")
    return seconds
