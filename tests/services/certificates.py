"""Certificates made for a test."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme


def expired(authority: trustme.CA, *names: str) -> trustme.LeafCert:
    """One that was valid until yesterday."""
    now = datetime.now(UTC)
    return authority.issue_cert(*names, not_before=now - timedelta(days=30), not_after=now - timedelta(days=1))


def written(blob: trustme.Blob, path: Path) -> Path:
    blob.write_to_path(path)
    return path
