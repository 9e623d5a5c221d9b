"""Assertions of the checks tell what they compared, as those of tests do."""

import pytest

pytest.register_assert_rewrite(
    "tests.deploy.kubernetes",
    "tests.deploy.kubernetes_checks",
    "tests.deploy.kubernetes_container",
    "tests.deploy.kubernetes_program_checks",
    "tests.deploy.kubernetes_tls_checks",
)
