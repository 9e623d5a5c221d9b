"""Without the programs that are called here nothing is shown, which is told once and not by every test."""

import pytest

from tests.operations.installation import missing_programs


def pytest_sessionstart() -> None:
    missing = missing_programs()
    if missing:
        pytest.exit(f"the tests of operations need {', '.join(missing)}: .ci/run names the packages", returncode=1)
